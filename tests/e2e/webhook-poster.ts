type Update = { update_id: number } & Record<string, unknown>;

interface Dependencies {
  /** that nobody has taken, oldest first */
  updates: () => readonly Update[];
  /** the webhook has answered 200 */
  taken: (updateId: number) => void;
}

const againMs = 50;

/** Telegram's side of a webhook: one post at a time for each chat, again and again until it is answered 200. */
export class WebhookPoster {
  url = "";
  readonly #deps: Dependencies;
  readonly #busy = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #secret = "";
  /** as getWebhookInfo tells it */
  lastError: { last_error_date?: number; last_error_message?: string } = {};

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  set(url: string, secret: string): void {
    this.url = url;
    this.#secret = secret;
    this.lastError = {};
    this.pump();
  }

  close(): void {
    this.url = "";
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Posts the oldest update of each chat that has none on its way. */
  pump(): void {
    if (this.url === "") return;
    const heads = new Map<string, Update>();
    for (const update of this.#deps.updates()) if (!heads.has(chatOf(update))) heads.set(chatOf(update), update);
    for (const [chat, update] of heads) if (!this.#busy.has(chat)) void this.#post(chat, update);
  }

  async #post(chat: string, update: Update): Promise<void> {
    this.#busy.add(chat);
    const why = await this.#try(update);
    if (why === null) {
      this.#deps.taken(update.update_id);
      this.#busy.delete(chat);
      return this.pump();
    }
    this.lastError = { last_error_date: Math.floor(Date.now() / 1000), last_error_message: why };
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#busy.delete(chat);
      this.pump();
    }, againMs);
    this.#timers.add(timer);
  }

  /** @returns null when it was taken */
  async #try(update: Update): Promise<string | null> {
    try {
      const answer = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-telegram-bot-api-secret-token": this.#secret },
        body: JSON.stringify(update),
      });
      return answer.status === 200 ? null : `Wrong response from the webhook: ${answer.status}`;
    } catch {
      return "Connection refused";
    }
  }
}

function chatOf(update: Update): string {
  const inner = Object.entries(update).find(([key]) => key !== "update_id")?.[1];
  const chat = typeof inner === "object" && inner !== null && "chat" in inner ? inner.chat : null;
  return typeof chat === "object" && chat !== null && "id" in chat ? String(chat.id) : "";
}
