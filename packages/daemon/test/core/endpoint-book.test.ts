import { describe, expect, it } from "vitest";
import { AegisError } from "@aegis/protocol/errors";
import type { EventBody } from "@aegis/protocol/event";
import { EndpointBook } from "../../src/core/endpoint-book.ts";
import { EventLog } from "../../src/core/event-log.ts";

/** Ports that take a while to open, numbered from 1. */
function book() {
  const open = new Set<number>();
  let next = 1;
  const appendEvent = (body: EventBody) => ({ ...body, seq: 1, ts: "" });
  const endpoints = new EndpointBook("inst-1", [], {
    store: { insertEndpoint: () => undefined, deleteEndpoint: () => undefined },
    events: new EventLog({ appendEvent, newestEventSeq: () => 0, eventsSince: () => [] }, () => undefined),
    ingress: {
      async open() {
        const port = next++;
        await Promise.resolve();
        open.add(port);
        return port;
      },
      close: async (port) => void open.delete(port),
    },
    warn: (message) => expect.fail(message),
  });
  return { endpoints, open };
}

describe("EndpointBook", () => {
  it("opens one public port for calls that come at the same time", async () => {
    const { endpoints, open } = book();
    const answers = await Promise.all([1, 2, 3].map(() => endpoints.expose({ port: 80 })));
    expect(new Set(answers.map(({ public_port }) => public_port))).toEqual(new Set([1]));
    expect(open).toEqual(new Set([1]));
  });

  it("counts those that are just being opened", async () => {
    const { endpoints, open } = book();
    const atMostTwo = (ports: number) => {
      if (ports > 2) throw new AegisError("capability_refused", "too many");
    };
    const answers = await Promise.allSettled([80, 81, 82, 83].map((port) => endpoints.expose({ port }, atMostTwo)));
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "rejected"]);
    expect(open.size).toBe(2);
  });

  it("closes a port that was being opened when all were closed", async () => {
    const { endpoints, open } = book();
    await Promise.all([endpoints.expose({ port: 80 }), endpoints.close()]);
    expect(open.size).toBe(0);
    await expect(endpoints.unexpose(80)).rejects.toMatchObject({ code: "endpoint_not_found" });
  });
});
