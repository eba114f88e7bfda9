import { expect, it } from "vitest";
import { parseBoundNameServers } from "../../../src/drivers/linux/network/bound-name-servers.ts";

it("finds the addresses whose UDP port 53 is taken", () => {
  const text = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  323: 0104D10A:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 58012 2 0000000000000000 0
  390: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 1 2 0000000000000000 0
  400: 0100007F:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 2 2 0000000000000000 0
`;
  expect(parseBoundNameServers(text)).toEqual(new Set(["10.209.4.1", "127.0.0.53"]));
  expect(parseBoundNameServers("")).toEqual(new Set());
});
