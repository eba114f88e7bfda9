/** Where the bot's messages go to and come from. */
export type UpstreamOptions = LocalUpstreamOptions | TelegramUpstreamOptions;

/** A chat page in the browser, served by the relay itself. */
export interface LocalUpstreamOptions {
  kind: "local";
  host: "127.0.0.1";
  /** 0 takes the port of the last start if it is free, else any */
  port: number;
  /** Telegram id of the one user; must be on the bot's allow list. Default 42 */
  userId?: number;
  /** name in the page's header. Default "Claw" */
  botName?: string;
  /** shown as a badge, such as "offline demo model"; absent: no badge */
  modelLabel?: string;
}

/** The real Bot API, or a double of it. */
export interface TelegramUpstreamOptions {
  kind: "telegram";
  /** the real token: stays in this process's memory */
  token: string;
  /** such as `https://api.telegram.org` */
  apiRoot: string;
  /** user ids whose updates may wake the bot; absent: everybody's */
  allowFrom?: readonly number[];
  /** group chats (ids below 0) whose updates may wake the bot; absent: all */
  groups?: readonly number[];
  /** how updates come from Telegram to the bot; absent: `relay` */
  mode?: TelegramMode;
  /** pause before the first retry of anything that Telegram refuses, and the longest one */
  retryMs?: RetryMs;
}

export interface RetryMs {
  first: number;
  longest: number;
}

/** How updates come from Telegram to the bot. */
export type TelegramMode =
  /** the relay polls, and brings them to the bot's webhook */
  | { kind: "relay" }
  /** Telegram posts them to a public URL that leads to the relay's `port` on loopback; the relay brings them to the bot */
  | { kind: "webhook"; port: number; reach: PublicReach }
  /** the bot polls by itself, through the relay, which knows the token */
  | { kind: "polling" };

/** Where the public URL comes from. */
export type PublicReach =
  | { kind: "url"; url: string }
  /** a program that prints the URL; `{port}` in the command is the port that it is to lead to */
  | { kind: "tunnel"; command: string; urlPattern: string };

/** The bot's own door: a public port of its instance, which wakes it. */
export interface WebhookOptions {
  /** such as `http://127.0.0.1:20001/telegram-webhook` */
  url: string;
  /** goes into `X-Telegram-Bot-Api-Secret-Token` */
  secret: string;
}

export interface RelayOptions {
  upstream: UpstreamOptions;
  /** folder of the relay alone; created 0700 */
  stateDir: string;
  /** 0 takes any free port */
  botApi: { host: "127.0.0.1"; port: number };
  /** every request of the bot must carry it in `x-aegis-relay-key` */
  relayKey: string;
  /** the placeholder that the bot uses in paths, never the real one */
  botToken: string;
  webhook: WebhookOptions;
  /** one line each, never with a secret in it */
  log: (line: string) => void;
  /** what a person has to know or do, once when it begins and once when it is over; absent: the log alone */
  notice?: (text: string) => void;
}

/** What the host knows about the bot instance. `unknown` until it says something. */
export type BotPower = "unknown" | "asleep" | "waking" | "awake";

export interface Relay {
  readonly botApiPort: number;
  /** the page with its key, or null with the telegram upstream; the same over restarts as long as the port is */
  readonly chatUrl: string | null;
  /** settles when the bot has asked for updates itself for the first time; null: it has a webhook instead */
  readonly botPolls: Promise<void> | null;
  /** Tells the chat page whether the bot sleeps; without it the page shows what it can see itself. */
  setBotPower(power: BotPower): void;
  /** Brings nothing to the bot any more, so that it can be stopped and stays so. Its own calls go on. */
  stopDelivering(): Promise<void>;
  close(): Promise<void>;
}
