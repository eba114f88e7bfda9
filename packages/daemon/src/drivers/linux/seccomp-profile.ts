import { allowedSyscalls, refusedSyscalls } from "./syscalls.ts";

interface SeccompArgument {
  index: number;
  value: number;
  valueTwo?: number;
  op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}

interface SeccompRule {
  names: string[];
  action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  errnoRet?: number;
  args?: SeccompArgument[];
}

export interface SeccompProfile {
  defaultAction: "SCMP_ACT_ERRNO";
  defaultErrnoRet: number;
  architectures: string[];
  syscalls: SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;
/** every CLONE_NEW* flag that clone(2) takes */
const NAMESPACE_FLAGS = 0x7e020000;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
/** the default, and what `setarch`, `linux32` and "tell me only" ask for; none weakens address randomisation */
const PERSONALITIES = [0, 0x0008, 0x20000, 0x20008, 0xffffffff];

const architectureOf: Partial<Record<NodeJS.Architecture, string>> = {
  x64: "SCMP_ARCH_X86_64",
  arm64: "SCMP_ARCH_AARCH64",
};

const allowWhen = (name: string, value: number): SeccompRule => ({
  names: [name],
  action: "SCMP_ACT_ALLOW",
  args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
});

/**
 * An allow-list for the native architecture alone: 32-bit calls end the process. A namespace cannot be made:
 * clone3 hides its flags behind a pointer and so answers ENOSYS, upon which libc takes clone.
 */
export function seccompProfile(architecture: NodeJS.Architecture = process.arch): SeccompProfile {
  const native = architectureOf[architecture];
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: ENOSYS,
    architectures: native === undefined ? [] : [native],
    syscalls: [
      { names: allowedSyscalls, action: "SCMP_ACT_ALLOW" },
      { names: refusedSyscalls, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
      ...[AF_UNIX, AF_INET, AF_INET6, AF_NETLINK].map((family) => allowWhen("socket", family)),
      ...PERSONALITIES.map((personality) => allowWhen("personality", personality)),
    ],
  };
}
