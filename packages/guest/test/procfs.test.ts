import { expect, test } from "vitest";
import { countRemotePeers, defaultGateway, largestCodeMapping, parseCpuTicks, sumNetBytes } from "../src/procfs.ts";

const TCP_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const row = (remote: string, state: string) =>
  `   0: 0100007F:1F90 ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n`;

test("only established connections to elsewhere count", () => {
  const rows = [
    row("0100007F:0050", "01"), // 127.0.0.1
    row("0200107F:0050", "01"), // 127.16.0.2
    row("0108A8C0:0050", "01"), // 192.168.8.1
    row("0108A8C0:0050", "06"), // TIME_WAIT
    row("00000000:0000", "0A"), // LISTEN
    row("7F000001:0050", "01"), // 1.0.0.127
  ];
  expect(countRemotePeers(TCP_HEAD + rows.join(""), null)).toBe(2);
});

test("the same for IPv6, mapped IPv4 included", () => {
  const rows = [
    row("00000000000000000000000001000000:0050", "01"), // ::1
    row("0000000000000000FFFF00000100007F:0050", "01"), // ::ffff:127.0.0.1
    row("0000000000000000FFFF00000108A8C0:0050", "01"), // ::ffff:192.168.8.1
    row("B80D01200000000000000000010000FF:0050", "01"),
  ];
  expect(countRemotePeers(TCP_HEAD + rows.join(""), null)).toBe(2);
});

test("what the host has connected counts for nothing, over IPv4 and as mapped", () => {
  const routes = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t0100D10A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
eth0\t00000000\t0100D10A\t0003\t0\t0\t0\t00000000\t0\t0\t0
`;
  const host = defaultGateway(routes);
  expect(host).toBe("0100D10A");
  const rows = [
    row("0100D10A:C350", "01"),
    row("0000000000000000FFFF00000100D10A:C350", "01"),
    row("0200D10A:C350", "01"),
  ];
  expect(countRemotePeers(TCP_HEAD + rows.join(""), host)).toBe(1);
});

test("without a default route there is no gateway", () => {
  for (const table of ["", "Iface\tDestination\tGateway\n"]) expect(defaultGateway(table)).toBeNull();
});

test("no table, no connections", () => {
  expect(countRemotePeers("", null)).toBe(0);
});

test("CPU time of a process whose name tries to break the line", () => {
  const stat = "7 (a) R 1 2) S 1 7 7 0 -1 4194304 75 0 0 0 11 22 33 44 20 0 1 0 124986 3133440 382";
  expect(parseCpuTicks(stat)).toEqual({ own: 33, children: 77 });
});

test("text that is no stat line has no CPU time", () => {
  for (const text of ["", "7 (x) S 1", "7 (x) S a b c d e f g h i j k l m n o p"])
    expect(parseCpuTicks(text)).toBeNull();
});

test("bytes of all interfaces but loopback, also when the number touches the colon", () => {
  const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5000 1 0 0 0 0 0 0 5000 1 0 0 0 0 0 0
  eth0:1000 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0
  eth1: 30 1 0 0 0 0 0 0 4 1 0 0 0 0 0 0
`;
  expect(sumNetBytes(table)).toBe(1234);
  expect(sumNetBytes("")).toBe(0);
});

test("the largest mapping of code", () => {
  const maps = `1000-2000 r--p 00000000 00:1d 1 /.aegis/aegis-guest
2000-9000 r-xp 00001000 00:1d 1 /.aegis/aegis-guest
9000-a000 r-xp 00001000 00:1d 1 /.aegis/lib/libc.so.6
a000-ffff0000 r-xp 00000000 00:00 0
7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]
`;
  expect(largestCodeMapping(maps)).toEqual({ start: 0x2000n, end: 0x9000n });
  expect(largestCodeMapping("")).toBeNull();
});
