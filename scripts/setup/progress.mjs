const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const TICK_MS = 100;
/** Without a terminal, a step that takes long says every so often that it still goes on. */
const PLAIN_TICK_MS = 15_000;

/**
 * Shows a step while it runs: what, how far (`report(text)`) and how long. One line that changes on a terminal, plain lines
 * elsewhere.
 */
export async function step(title, work) {
  const line = process.stdout.isTTY ? new LiveLine(title) : new PlainLines(title);
  try {
    const result = await work((text) => line.report(text));
    line.end(true);
    return result;
  } catch (error) {
    line.end(false);
    throw error;
  }
}

class LiveLine {
  #title;
  #detail = "";
  #start = Date.now();
  #frame = 0;
  #timer;

  constructor(title) {
    this.#title = title;
    this.#timer = setInterval(() => this.#draw(), TICK_MS);
    this.#draw();
  }

  report(text) {
    this.#detail = text;
  }

  end(good) {
    clearInterval(this.#timer);
    process.stdout.write(`\r\x1b[K${good ? "✔" : "✘"} ${this.#title}  ${seconds(this.#start)}\n`);
  }

  #draw() {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    const detail = this.#detail === "" ? "" : `  ${this.#detail}`;
    const text = `${FRAMES[this.#frame]} ${this.#title}  ${seconds(this.#start)}${detail}`;
    process.stdout.write(`\r\x1b[K${text.slice(0, (process.stdout.columns ?? 80) - 1)}`);
  }
}

class PlainLines {
  #title;
  #detail = "";
  #start = Date.now();
  #timer;

  constructor(title) {
    this.#title = title;
    process.stdout.write(`${title} ...\n`);
    this.#timer = setInterval(() => this.#still(), PLAIN_TICK_MS);
  }

  report(text) {
    this.#detail = text;
  }

  end(good) {
    clearInterval(this.#timer);
    process.stdout.write(`${this.#title}: ${good ? "done" : "failed"} after ${seconds(this.#start)}\n`);
  }

  #still() {
    process.stdout.write(`${this.#title}: ${seconds(this.#start)} ${this.#detail}\n`);
  }
}

const seconds = (start) => `${Math.round((Date.now() - start) / 1000)} s`;
