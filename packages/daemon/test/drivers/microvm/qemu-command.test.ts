import { expect, test } from "vitest";
import { FIRST_HOST_ID, ID_COUNT } from "../../../src/drivers/linux/oci-config.ts";
import { AddressBlock, DEFAULT_SUBNET, parseSubnet } from "../../../src/drivers/linux/network/address-block.ts";
import { qemuUser } from "../../../src/drivers/microvm/qemu-command.ts";

test("no two machines of a host have one user, whatever homes and networks they are of", () => {
  const users = [DEFAULT_SUBNET, "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].flatMap((subnet) =>
    [0, 1, 63].flatMap((number) => {
      const block = new AddressBlock(parseSubnet(subnet), number);
      return [0, 1, block.slots - 1].map((slot) => qemuUser(block.address(slot)));
    }),
  );
  expect(new Set(users).size).toBe(users.length);
  for (const user of users) {
    expect(user).toBeGreaterThanOrEqual(FIRST_HOST_ID + ID_COUNT);
    expect(user).toBeLessThan(2 ** 31);
  }
});
