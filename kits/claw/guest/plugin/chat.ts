import type { DeliveryContext } from "./openclaw-api.ts";

/** A chat that the plugin can speak in without the model. */
export interface Chat {
  /** @returns the message's number, for {@link edit} */
  send(to: DeliveryContext, text: string): Promise<number>;
  edit(to: DeliveryContext, message: number, text: string): Promise<void>;
  reaches(to: DeliveryContext): boolean;
}
