import type { DeliveryState } from "../delivery/delivery.ts";
import type { BotPower } from "../options.ts";
import type { ChatEvent, ChatState } from "./chat-message.ts";

/** Telegram shows an action for five seconds; the bot repeats it while it works. */
const typingMs = 6000;
/** A frozen bot takes an update within milliseconds; what takes longer is a wake that a person should see. */
const slowMs = 700;

/** Tells open pages what happens, and knows what the bot seems to be doing. */
export class ChatFeed {
  readonly #listeners = new Set<(event: ChatEvent) => void>();
  #power: BotPower = "unknown";
  #delivery: DeliveryState = "quiet";
  #slow = false;
  #slowTimer: NodeJS.Timeout | undefined;
  #typing = false;
  #typingTimer: NodeJS.Timeout | undefined;
  #shown: ChatState = "ready";

  /** @returns ends the subscription */
  subscribe(listener: (event: ChatEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  publish(event: ChatEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  get state(): ChatState {
    if (this.#typing) return "typing";
    if (this.#power === "waking" || this.#delivery === "retrying" || this.#slow) return "waking";
    if (this.#power === "asleep") return this.#delivery === "quiet" ? "asleep" : "waking";
    return "ready";
  }

  setPower(power: BotPower): void {
    this.#power = power;
    if (power === "asleep") this.setTyping(false);
    this.#refresh();
  }

  setDelivery(delivery: DeliveryState): void {
    if (delivery !== "delivering" || this.#delivery !== "delivering") {
      clearTimeout(this.#slowTimer);
      this.#slow = false;
      if (delivery === "delivering") this.#slowTimer = setTimeout(() => this.#becomeSlow(), slowMs).unref();
    }
    this.#delivery = delivery;
    this.#refresh();
  }

  setTyping(typing: boolean): void {
    clearTimeout(this.#typingTimer);
    this.#typing = typing;
    if (typing) this.#typingTimer = setTimeout(() => this.setTyping(false), typingMs).unref();
    this.#refresh();
  }

  close(): void {
    clearTimeout(this.#slowTimer);
    clearTimeout(this.#typingTimer);
    this.#listeners.clear();
  }

  #becomeSlow(): void {
    this.#slow = true;
    this.#refresh();
  }

  #refresh(): void {
    const { state } = this;
    if (state === this.#shown) return;
    this.#shown = state;
    this.publish({ type: "state", state });
  }
}
