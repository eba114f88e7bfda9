import { describe, expect, it } from "vitest";
import { chooseDriver } from "../src/choose-driver.ts";

describe("the driver that a home gets", () => {
  const nothing = async () => null;
  const never = async () => {
    throw new Error("nobody was to look");
  };

  it.each(["container", "microvm"] as const)(
    "is the one that was asked for, without a look at KVM: %s",
    async (asked) => {
      expect(await chooseDriver(asked, { left: nothing, whyNoVms: never })).toEqual({
        name: asked,
        driverReason: "AEGIS_DRIVER asks for it",
      });
    },
  );

  it.each(["container", "microvm"] as const)("is that of its instances that still run: %s", async (left) => {
    expect(await chooseDriver("auto", { left: async () => left, whyNoVms: never })).toMatchObject({ name: left });
  });

  it.each([
    ["container", "microvm"],
    ["microvm", "container"],
  ] as const)("is never %s while instances run that %s made", async (asked, left) => {
    await expect(chooseDriver(asked, { left: async () => left, whyNoVms: never })).rejects.toMatchObject({
      code: "driver_failed",
      message: expect.stringContaining(`AEGIS_DRIVER=${left} aegis up, then aegis down`),
    });
    expect(await chooseDriver(left, { left: async () => left, whyNoVms: never })).toMatchObject({ name: left });
  });

  it("is virtual machines where KVM works", async () => {
    expect(await chooseDriver("auto", { left: nothing, whyNoVms: nothing })).toEqual({
      name: "microvm",
      driverReason: "KVM works on this machine",
    });
  });

  it("is containers elsewhere, with the reason", async () => {
    const whyNoVms = async () => "this machine has no /dev/kvm";
    expect(await chooseDriver("auto", { left: nothing, whyNoVms })).toEqual({
      name: "container",
      driverReason: "this machine has no /dev/kvm",
    });
  });
});
