/* Lets the site's search run where a page was opened from a file. Browsers refuse workers there, so
   this runs the worker's script in a hidden frame of the same page instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.onmessage = this.onerror = this.onmessageerror = null;
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      (document.body || document.documentElement).append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) =>
        setTimeout(() => this.onmessage && this.onmessage({ data: structuredClone(data) }));
      const script = inside.document.createElement("script");
      script.src = new URL(address, location.href).href;
      script.onload = () => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.deliver(data));
      };
      script.onerror = (event) => this.onerror && this.onerror(event);
      inside.document.head.append(script);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.deliver(data);
    }

    deliver(data) {
      const copy = structuredClone(data);
      setTimeout(() => {
        const inside = this.frame.contentWindow;
        if (inside) inside.onmessage({ data: copy });
      });
    }

    terminate() {
      this.frame.remove();
    }
  };
}
