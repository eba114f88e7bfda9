import type { DeliveryContext } from "./openclaw-api.ts";

/** `data` comes back to the plugin when somebody presses it. */
export interface Button {
  text: string;
  data: string;
}

export interface Upload {
  name: string;
  content: Blob;
  /** shown in the chat rather than offered for download */
  picture: boolean;
}

/** A chat that the plugin can speak in without the model. */
export interface Chat {
  /**
   * @param name what is sent again under the same name, within a day, is the same message, also after a restart
   * @returns the message's number, for {@link edit}. @throws ChatBusy
   */
  send(to: DeliveryContext, text: string, buttons?: Button[][], name?: string): Promise<number>;
  /** Without buttons the message loses those it had. @throws ChatBusy */
  edit(to: DeliveryContext, message: number, text: string, buttons?: Button[][]): Promise<void>;
  /** @throws ChatBusy */
  sendFile(to: DeliveryContext, file: Upload, caption: string): Promise<void>;
  reaches(to: DeliveryContext): boolean;
}

/** The chat takes nothing for a while: trying earlier makes it longer. */
export class ChatBusy extends Error {
  override readonly name = "ChatBusy";
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super(`the chat takes nothing for ${Math.ceil(retryAfterMs / 1000)} s`);
    this.retryAfterMs = retryAfterMs;
  }
}
