// Asks the viewer that serves this page, and sends it what is to be saved.

/** A refusal that says why; `status` and `said` hold the answer. */
export class Refusal extends Error {
  constructor(status, said) {
    super(said.problem ?? `the viewer answered ${status}; is it still running?`);
    this.status = status;
    this.said = said;
  }
}

/** Return the JSON at a path; what is refused becomes a Refusal. */
export async function ask(path) {
  return told(await fetch(path));
}

/** Return the bytes at a path. */
export async function askBytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`the viewer answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

let writing = null; // the token that shows that this page asks

/** Send JSON to a path, and return the JSON of the answer. */
export async function send(path, content) {
  writing ??= ask("/write-token");
  try {
    const headers = { "Content-Type": "application/json", "X-Hviskd-Token": (await writing).token };
    return await told(await fetch(path, { method: "POST", headers, body: JSON.stringify(content) }));
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 403) writing = null; // perhaps another viewer by now
    throw error;
  }
}

async function told(answer) {
  if (answer.ok) return answer.json();
  const words = await answer.text();
  let said = {};
  try {
    said = JSON.parse(words);
  } catch { // refused before it was looked at, in a plain line
    if (words.startsWith("hviskd: ")) said = { problem: words.split("\n")[0].slice("hviskd: ".length) };
  }
  throw new Refusal(answer.status, said);
}
