import { expect, test } from "vitest";
import { checkUser, homeOf, parsePasswd } from "../src/guest-user.ts";

const accounts = parsePasswd("root:x:0:0:root:/root:/bin/sh\nbroken\n:::\nnode:x:1000:1000::/home/node:/bin/sh\n");

test("broken lines of passwd are skipped", () => {
  expect(accounts.map(({ name }) => name)).toEqual(["root", "node"]);
  expect(parsePasswd("")).toEqual([]);
});

test("the home is the account's, or the root folder", () => {
  expect(homeOf(1000, accounts)).toBe("/home/node");
  expect(homeOf(1234, accounts)).toBe("/");
});

test.each(["root", "0", "0:0", "root:root"])("root may ask for %s", (user) => {
  expect(() => checkUser(user, { uid: 0, gid: 0 }, accounts)).not.toThrow();
});

test.each(["node", "1000", "0:1000", "nobody", "", "-1", "0x0"])("root may not ask for %j", (user) => {
  expect(() => checkUser(user, { uid: 0, gid: 0 }, accounts)).toThrow(/\.$/);
});

test("a number needs no passwd", () => {
  expect(() => checkUser("1000", { uid: 1000, gid: 1000 }, [])).not.toThrow();
});
