import { expect, test } from "vitest";
import { IngressTraffic } from "../../src/core/ingress-traffic.ts";

const QUIET = { tcp: 0, cpu_ms: 3, net_bytes: 4000 };
const nothing = { hold: () => () => undefined, touch: () => undefined, nudge: () => undefined };

test("bytes that a connection from outside carried within a heartbeat are explained, later ones are not", () => {
  let now = 0;
  const traffic = new IngressTraffic(() => now);
  expect(traffic.explains(QUIET)).toBe(false);
  const { hold, touch, nudge } = traffic.noting(nothing);
  const ways = [touch, nudge, () => void hold(), hold()];
  for (const way of ways) {
    now += 60_000;
    expect(traffic.explains(QUIET)).toBe(false);
    way();
    now += 5_400;
    expect(traffic.explains(QUIET)).toBe(true);
  }
  now += 1_000;
  expect(traffic.explains(QUIET)).toBe(false);
});

test("work and connections of the instance's own are not explained by it", () => {
  const traffic = new IngressTraffic(() => 0);
  traffic.noting(nothing).touch();
  expect(traffic.explains({ ...QUIET, cpu_ms: 100 })).toBe(false);
  expect(traffic.explains({ ...QUIET, tcp: 1 })).toBe(false);
});
