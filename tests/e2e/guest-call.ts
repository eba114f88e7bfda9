import type { Aegis } from "./aegis-fixture.ts";

export interface GuestAnswer<T = Record<string, unknown>> {
  status: number;
  body: T;
  text: string;
}

/** A call to the Guest API from inside an instance of the busybox image. */
export async function guestCall<T = Record<string, unknown>>(
  aegis: Aegis,
  id: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<GuestAnswer<T>> {
  const words = body === undefined ? [] : [typeof body === "string" ? body : JSON.stringify(body)];
  const { stdout } = await aegis.exec(id, ["guest-api", method, path, ...words]);
  const [head = "", ...rest] = stdout.split(/^$/m);
  const text = rest.join("").trim();
  const isJson = /^content-type: application\/json/im.test(head);
  return { status: Number(head.split(" ")[1]), body: (isJson ? JSON.parse(text) : {}) as T, text };
}
