import { seededRandom } from "../seeded-random.ts";

/** The seed of this run: printed, and to be given again to see the same cases. */
export function fuzzSeed(): number {
  const given = process.env["AEGIS_FUZZ_SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  process.stdout.write(`AEGIS_FUZZ_SEED=${seed}\n`);
  return seed;
}

/** Hostile values that follow from a seed alone. */
export class FuzzRandom {
  /** in [0, 1) */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = seededRandom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(part: number): boolean {
    return this.next() < part;
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at++) bytes[at] = this.below(256);
    return bytes;
  }

  text(): string {
    return this.chance(0.7) ? this.pick(TEXTS) : this.bytes(this.below(40)).toString("latin1");
  }

  json(depth = 3): unknown {
    const kind = this.below(depth === 0 ? 5 : 7);
    if (kind < 2) return this.text();
    if (kind === 2) return this.pick(NUMBERS);
    if (kind === 3) return this.pick([null, true, false]);
    if (kind === 4) return this.pick([[], {}, "", 0]);
    const length = this.below(4);
    if (kind === 5) return Array.from({ length }, () => this.json(depth - 1));
    return Object.fromEntries(Array.from({ length }, () => [this.text(), this.json(depth - 1)]));
  }
}

const TEXTS = [
  "",
  "a",
  "0",
  "-1",
  "null",
  ".",
  "..",
  "../..",
  "../../etc/passwd",
  "/etc/passwd",
  "/",
  "//",
  "a/b",
  "a\\b",
  "%00",
  "%2e%2e%2f",
  "%",
  "%zz",
  "\0",
  "a\0b",
  "\n",
  "a\r\nX: y",
  "\u2028",
  "\ud800",
  "é",
  "日本",
  "💥",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "*",
  "**",
  "[",
  "]",
  "(",
  "?",
  "$(id)",
  "`id`",
  "; id",
  "${secret:A}",
  "${7*7}",
  "' OR 1=1 --",
  '"; DROP TABLE instance; --',
  "inst-",
  "inst-000000000000",
  "host",
  "A=B",
  "true",
  "NaN",
  "Infinity",
  "1e309",
  "x".repeat(65),
  "x".repeat(300),
  "x".repeat(5000),
  "docker.io/library/x",
  "missing",
  "http://127.0.0.1:1/",
  "http://[::1",
  "https://",
  "file:///etc/passwd",
  "2026-01-01T00:00:00Z",
  "never",
  "127.0.0.1",
  "169.254.169.254",
  "*.example.com:443",
  "sha256:00",
  "container",
  "fake",
  "running",
  "SIGKILL",
] as [string, ...string[]];

const NUMBERS: [number, ...number[]] = [
  0,
  -0,
  1,
  -1,
  0.5,
  2,
  7,
  16,
  64,
  80,
  255,
  256,
  1023,
  8080,
  65535,
  65536,
  1e6,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  1e-9,
];
