// One slide on the screen: pan, zoom and powers. All places are level-0 px of the slide.

const BASE_UM = 10; // a power of 1× is this many µm a px: 40× is 0.25 µm/px
const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;

// OpenSeadragon adds a style sheet of its own, which the page's policy forbids, unless it finds one marked so.
const marked = document.createElementNS("urn:no-style", "style");
marked.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(marked);

export class SlideView {
  /** Show slides in an element; `moved` is called whenever another place or power is shown. */
  constructor(element, moved, { overview = true } = {}) {
    this.facts = null;
    this.osd = OpenSeadragon({
      element,
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: overview,
      navigatorPosition: "TOP_RIGHT",
      navigatorSizeRatio: 0.17,
      navigatorAutoFade: false,
      navigatorDisplayRegionColor: getComputedStyle(document.documentElement).getPropertyValue("--vermilion").trim(),
      animationTime: CALM ? 0 : 0.35,
      maxTilesPerFrame: 8, // not one after the other, a frame each
      preserveImageSizeOnResize: true, // a power stays what it is
      visibilityRatio: 0.2,
      minZoomImageRatio: 0.7,
      maxZoomPixelRatio: 4,
      clickTimeThreshold: Infinity, // who holds the button long means a click, too
      clickDistThreshold: 6, // px of the screen; more is a drag
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, dblClickDragToZoom: false }, // a drag soon after a tap pans
      gestureSettingsPen: { clickToZoom: false },
    });
    this.osd.addHandler("update-viewport", () => this.facts && moved(this));
    this.osd.addHandler("resize", () => this.facts && moved(this));
  }

  /** Show a slide, whole; resolves when its first tiles are there. */
  open(facts) {
    this.facts = null;
    return new Promise((resolve, reject) => {
      this.osd.addOnceHandler("open", () => {
        this.facts = facts;
        this.osd.canvas.setAttribute("aria-label", `${facts.name}; arrow keys pan, plus and minus zoom`);
        this.osd.forceRedraw();
        resolve();
      });
      this.osd.addOnceHandler("open-failed", (event) => reject(new Error(event.message)));
      this.osd.open({
        width: facts.width_px,
        height: facts.height_px,
        tileSize: facts.tile_px,
        tileOverlap: 0,
        minLevel: Math.max(0, Math.min(8, facts.last_level)),
        maxLevel: facts.last_level,
        getTileUrl: (level, column, row) => `/slides/${facts.key}/tiles/${level}/${column}/${row}?start=${facts.start}`,
      });
    });
  }

  /** Show nothing. */
  close() {
    this.facts = null;
    this.osd.close();
  }

  /** How many screen px a level-0 px is wide now. */
  get scale() {
    return this.osd.viewport.viewportToImageZoom(this.osd.viewport.getZoom(true));
  }

  /** How many µm a screen px is wide now. */
  get umPerPx() {
    return this.facts.mpp / this.scale;
  }

  get power() {
    return BASE_UM / this.umPerPx;
  }

  /** The place in the middle. */
  get centre() {
    const { x, y } = this.osd.viewport.viewportToImageCoordinates(this.osd.viewport.getCenter(true));
    return { x, y };
  }

  /** The highest power that may be shown: four screen px a level-0 px. */
  get highestPower() {
    return (4 * BASE_UM) / this.facts.mpp;
  }

  /** The lowest one: the slide on seven tenths of the screen. */
  get lowestPower() {
    const least = this.osd.viewport.viewportToImageZoom(this.osd.viewport.getMinZoom());
    return (BASE_UM * least) / this.facts.mpp;
  }

  setPower(power) {
    const zoom = this.osd.viewport.imageToViewportZoom((power * this.facts.mpp) / BASE_UM);
    this.osd.viewport.zoomTo(zoom, undefined, CALM);
    this.osd.viewport.applyConstraints(CALM);
  }

  /** Show a place in the middle, at a power. */
  lookAt(x, y, power, immediately = true) {
    const viewport = this.osd.viewport;
    viewport.zoomTo(viewport.imageToViewportZoom((power * this.facts.mpp) / BASE_UM), undefined, immediately);
    viewport.panTo(viewport.imageToViewportCoordinates(x, y), immediately);
    viewport.applyConstraints(immediately);
  }

  /** Show a square of level-0 px in the middle, so many px of the screen wide if the slide has them. */
  showSquare(x, y, side, px) {
    const highest = (this.highestPower * this.facts.mpp) / BASE_UM;
    this.lookAt(x, y, (BASE_UM * Math.min(px / side, highest)) / this.facts.mpp);
  }

  /** Show a box of level-0 px [left, top, right, bottom] with some of what is round it. */
  showBox([left, top, right, bottom]) {
    const { clientWidth, clientHeight } = this.osd.element;
    const scale = Math.min((0.6 * clientWidth) / Math.max(1, right - left), (0.6 * clientHeight) / Math.max(1, bottom - top));
    this.lookAt((left + right) / 2, (top + bottom) / 2, Math.min((BASE_UM * scale) / this.facts.mpp, this.highestPower));
  }

  /** Move the middle by px of the screen, at once. */
  move(across, down) {
    const { viewport } = this.osd;
    viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(across, down)), true);
    viewport.applyConstraints(true);
  }

  /** Show what another view of the slide shows. */
  follow(other) {
    if (!this.facts || !other.facts) return;
    const [mine, theirs] = [this.osd.viewport, other.osd.viewport];
    const centre = theirs.getCenter(true), now = mine.getCenter(true), scale = other.scale;
    if (Math.abs(this.scale / scale - 1) < 1e-9 && centre.distanceTo(now) < 1e-9) return;
    mine.zoomTo(mine.imageToViewportZoom(scale), undefined, true);
    mine.panTo(centre, true);
  }

  home(immediately = CALM) {
    this.osd.viewport.goHome(immediately);
  }

  /** Whether the slide is shown whole. */
  get isHome() {
    const { viewport } = this.osd;
    return Boolean(this.facts) && Math.abs(viewport.getZoom() / viewport.getHomeZoom() - 1) < 0.001;
  }
}
