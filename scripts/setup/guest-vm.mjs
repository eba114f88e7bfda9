import { runCommand } from "./command.mjs";
import { SetupFailure } from "./failure.mjs";
import { step } from "./progress.mjs";
import { GUEST_DIR, NODE, ROOT, VM_DIR } from "./project.mjs";
import { join } from "node:path";

/** Fetches the kernel of virtual machines and builds what they boot from into dist/vm, unless that fits already. */
export async function ensureVm() {
  await step("kernel and disk of virtual machines", async () => {
    const script = join(ROOT, "packages/guest/build-vm.ts");
    const { code, tail } = await runCommand(
      NODE,
      ["--disable-warning=ExperimentalWarning", script, VM_DIR, GUEST_DIR],
      {
        cwd: ROOT,
      },
    );
    if (code !== 0) throw new SetupFailure(`what virtual machines boot from could not be built:\n${tail}`);
  });
}
