// The canvas over the slide that layers are drawn on, in step with it.

export class Overlay {
  /** Lay a canvas over a SlideView; `paint(context, view)` draws on it, `view` as `GridLayer.draw` takes it. */
  constructor(view, paint) {
    this.view = view;
    this.paint = paint;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "overlay";
    this.canvas.setAttribute("aria-hidden", "true");
    this.context = this.canvas.getContext("2d");
    view.osd.canvas.append(this.canvas);
    view.osd.addHandler("update-viewport", () => this.draw());
    view.osd.addHandler("resize", () => this.draw());
    this.waiting = false;
  }

  /** Draw again before the next frame. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { x: width, y: height } = this.view.osd.viewport.getContainerSize();
    const ratio = devicePixelRatio;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== across || this.canvas.height !== down) Object.assign(this.canvas, { width: across, height: down });
    else this.context.clearRect(0, 0, across, down);
    if (!this.view.facts) return;
    const viewport = this.view.osd.viewport;
    const corner = viewport.pixelFromPoint(viewport.imageToViewportCoordinates(0, 0), true);
    this.paint(this.context, { left: corner.x * ratio, top: corner.y * ratio, scale: this.view.scale * ratio });
  }
}
