import { encodeFrame, type Frame, type FrameDecoder, FrameType } from "@aegis/protocol/exec-frame";
import type { ErrorBody } from "@aegis/protocol/errors";
import { GuestApiError } from "./guest-api.ts";

const INPUT_BYTES = 64 * 1024;
export const CUT_OFF =
  "the command was cut off before it ended: its machine, or the host's daemon, went away meanwhile";

/** The connection of one exec, on which the request is the first message. @param base `AEGIS_GUEST_API` */
export function childSocket(base: string, id: string): WebSocket {
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}/v1/instances/${encodeURIComponent(id)}/exec`);
  socket.binaryType = "arraybuffer";
  return socket;
}

/** Each message is whole frames. */
export function sendInput(socket: WebSocket, bytes: Uint8Array): void {
  for (let start = 0; start < bytes.length; start += INPUT_BYTES)
    socket.send(encodeFrame(FrameType.stdin, bytes.subarray(start, start + INPUT_BYTES)));
}

/** @returns what a message of the host has in it; nothing: the command has started. @throws GuestApiError when it is refused */
export function framesOf(decoder: FrameDecoder, message: unknown): Frame[] {
  if (message instanceof ArrayBuffer) return decoder.push(new Uint8Array(message));
  const body = JSON.parse(String(message)) as Partial<ErrorBody>;
  if (body.error !== undefined) throw new GuestApiError(body as ErrorBody);
  return [];
}
