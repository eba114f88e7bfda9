const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const TICK_MS = 100;
/** Without a terminal, a long step says every so often that it goes on. */
const PLAIN_TICK_MS = 15_000;

export type Report = (detail: string) => void;

type Output = Pick<NodeJS.WriteStream, "write"> & { isTTY?: boolean; columns?: number };

/** Shows steps as they run: what, how far and how long. One changing line on a terminal, plain lines elsewhere. */
export class UpProgress {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  say(text: string): void {
    this.#output.write(`${text}\n`);
  }

  async step<T>(title: string, work: (report: Report) => Promise<T>): Promise<T> {
    const start = Date.now();
    let detail = "";
    let frame = 0;
    const draw = () => this.#draw(`${FRAMES[(frame += 1) % FRAMES.length] ?? ""} ${title}  ${since(start)}  ${detail}`);
    const still = () => this.say(`${title}: ${since(start)}  ${detail}`.trimEnd());
    const live = this.#output.isTTY === true;
    if (live) draw();
    else this.say(`${title} ...`);
    const timer = setInterval(live ? draw : still, live ? TICK_MS : PLAIN_TICK_MS);
    try {
      const result = await work((text) => (detail = text));
      this.#end(live ? `✔ ${title}  ${since(start)}` : `${title}: done after ${since(start)}`);
      return result;
    } catch (error) {
      this.#end(live ? `✘ ${title}  ${since(start)}` : `${title}: failed after ${since(start)}`);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  #draw(text: string): void {
    this.#output.write(`\r\u001b[K${text.slice(0, (this.#output.columns ?? 80) - 1)}`);
  }

  #end(text: string): void {
    this.#output.write(this.#output.isTTY === true ? `\r\u001b[K${text}\n` : `${text}\n`);
  }
}

const since = (start: number) => `${Math.round((Date.now() - start) / 1000)} s`;
