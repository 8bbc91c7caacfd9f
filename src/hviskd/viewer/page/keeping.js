// Keeps what is drawn: asks for a slide's outlines, saves every change soon after it, and tells what became of it.

import { Refusal, ask, send } from "./asking.js";
import { together } from "./merging.js";

const SOON_MS = 600, AGAIN_MS = 5000;

export class Keeping {
  /** Saves a Drawing; `told` is called when there is something to tell, `saved` when the file is another. */
  constructor(drawing, { told, saved }) {
    this.drawing = drawing;
    this.calls = { told, saved };
    this.clear();
    addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault());
  }

  clear() {
    clearTimeout(this.waiting);
    Object.assign(this, { asked: null, path: null, file: "", revision: null, kept: null, shown: true, waiting: 0, sending: null, note: "", conflict: "" });
  }

  /** Whether the file does not have all that is drawn. */
  get unsaved() {
    return Boolean(this.path) && this.drawing.regions !== this.kept;
  }

  /** Begin with the outlines of a slide, unless it was left before they came. */
  async open(key) {
    const path = `/slides/${encodeURIComponent(key)}/drawing`;
    const asked = this.asked = {};
    const there = await ask(path);
    if (this.asked !== asked) return;
    this.clear();
    Object.assign(this, { path, file: there.file, revision: there.revision, kept: there.regions, shown: there.shown });
    this.note = there.regions.length ? `From ${there.file}` : `Will be saved in ${there.file}`;
    this.drawing.open(there);
  }

  /** Save soon. */
  soon(after = SOON_MS) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.save(), after);
    this.tell("Not saved yet");
  }

  /** Save now; resolves to whether the file has everything. */
  async save() {
    clearTimeout(this.waiting);
    while (this.unsaved && !this.conflict) {
      this.sending ??= this.post().finally(() => { this.sending = null; });
      if (!(await this.sending)) break;
    }
    return !this.unsaved;
  }

  async post() {
    const { path, drawing: { regions } } = this;
    this.tell("Saving …");
    try {
      const said = await send(path, { revision: this.revision, regions });
      if (path !== this.path) return true;
      Object.assign(this, { revision: said.revision, kept: regions });
      if (said.regions && this.drawing.regions === regions) {
        this.kept = said.regions;
        this.drawing.adopt(said.regions);
      }
      const before = said.kept ? `; the file as it was is kept as ${said.kept}` : "";
      this.tell([`Saved in ${this.file}${before}`, ...said.remarks].join(". "));
      this.calls.saved();
      return true;
    } catch (error) {
      if (path !== this.path) return true;
      if (error instanceof Refusal && error.status === 409) this.conflict = `${error.message}.`;
      else if (!(error instanceof Refusal)) this.waiting = setTimeout(() => this.save(), AGAIN_MS);
      this.tell(this.conflict ? "Not saved: choose above how to go on" : `Not saved: ${error.message}`);
      return false;
    }
  }

  /** Go on with the outlines that someone else saved; mine stay one undo away. */
  async takeTheirs(note = "Theirs are shown; undo brings yours back") {
    await this.goOn((theirs) => theirs);
    clearTimeout(this.waiting);
    this.tell(note);
    this.calls.saved();
  }

  /** Go on with theirs and mine together, and save them. */
  async takeBoth() {
    await this.goOn((theirs) => together(this.kept, this.drawing.regions, theirs));
    if (await this.save()) this.tell(`Yours and theirs are saved in ${this.file}; undo brings yours alone back`);
  }

  async goOn(choose) {
    const there = await ask(this.path);
    const regions = choose(there.regions);
    Object.assign(this, { revision: there.revision, kept: there.regions, conflict: "" });
    this.drawing.takeAll(regions, there.classes);
  }

  /** Save mine beside the file, and go on with theirs. */
  async keepMine() {
    const { file } = await send(`${this.path}/copy`, { revision: this.revision, regions: this.drawing.regions });
    await this.takeTheirs(`Yours are kept as ${file}; theirs are shown`);
  }

  tell(note) {
    this.note = note;
    this.calls.told();
  }
}
