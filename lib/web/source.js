// A source of frames: a video file, which waits while a frame is tracked, or a camera, which does not.

export class Source {
  /** Open a File or a camera's MediaStream. Throws if the browser cannot decode it. */
  static async open(what) {
    const source = new Source(what);
    try {
      await source.until(new Promise((done) => (source.video.onloadeddata = done)));
    } catch (error) {
      source.stop();
      throw error;
    }
    const { videoWidth, videoHeight } = source.video;
    source.canvas = new OffscreenCanvas(videoWidth, videoHeight);
    source.context = source.canvas.getContext("2d", { willReadFrequently: true });
    return source;
  }

  constructor(what) {
    this.live = what instanceof MediaStream;
    this.stopped = false;
    this.time = null; // of the newest frame, in seconds
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
    this.failed = new Promise((_, failed) => {
      this.video.onerror = () => failed(new Error("this browser cannot decode the video"));
    });
    this.failed.catch(() => {}); // told to whoever waits for a frame
    if (this.live) this.video.srcObject = what;
    else this.video.src = URL.createObjectURL(what);
  }

  /** The next frame, { frame: ImageData, time in seconds }; null at the end. A busy machine skips frames of a file, too. */
  async next() {
    while (!this.stopped && !this.video.ended) {
      const shown = new Promise((done) => {
        this.video.requestVideoFrameCallback((_, { mediaTime }) => done(mediaTime));
        this.video.onended = () => done(null);
      });
      if (this.video.paused) await this.until(this.video.play());
      const time = await this.until(shown);
      if (time === null || this.stopped) return null;
      if (!this.live) this.video.pause();
      if (time === this.time) continue; // it was shown before the pause
      this.time = time;
      this.context.drawImage(this.video, 0, 0);
      return { frame: this.context.getImageData(0, 0, this.canvas.width, this.canvas.height), time };
    }
    return null;
  }

  /** Give the camera or the file back; a wait for a frame ends. */
  stop() {
    this.stopped = true;
    this.video.pause();
    this.video.onended?.();
    if (this.live) this.video.srcObject.getTracks().forEach((one) => one.stop());
    else URL.revokeObjectURL(this.video.src);
  }

  until(promise) {
    return Promise.race([promise, this.failed]);
  }
}
