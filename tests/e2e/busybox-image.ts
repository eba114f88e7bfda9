import { chmodSync, copyFileSync, lchownSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** statically linked, from the Debian package busybox-static */
const BUSYBOX = "/bin/busybox";
/** first host id of the range that instances map to */
const FIRST_HOST_ID = 1_000_000;

export interface BusyboxRootfs {
  /** more files, by path in the image */
  files?: Record<string, string>;
  /** links by path in the image, with what they point to */
  links?: Record<string, string>;
  /** false: the busybox binary alone, without a shell or any other command */
  applets?: boolean;
  /** false: owned by who runs this, as a step before packing an image */
  mapped?: boolean;
}

/** Fills a folder with the smallest root file system that runs something: one static binary, no libc, no /etc/resolv.conf. */
export function makeBusyboxRootfs(folder: string, options: BusyboxRootfs = {}): string {
  for (const name of ["bin", "etc", "root", "tmp", "var"]) mkdirSync(join(folder, name), { recursive: true });
  chmodSync(join(folder, "tmp"), 0o1777);
  copyFileSync(BUSYBOX, join(folder, "bin/busybox"));
  if (options.applets !== false) linkApplets(folder);
  const files: Record<string, string> = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\napp:x:1000:\nextra:x:2000:app\n",
    ...options.files,
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  for (const [path, target] of Object.entries(options.links ?? {})) symlinkSync(target, join(folder, path));
  if (options.mapped !== false) ownBy(folder, FIRST_HOST_ID);
  return folder;
}

function linkApplets(folder: string): void {
  const applets = execFileSync(BUSYBOX, ["--list"], { encoding: "utf8" }).split("\n");
  for (const applet of applets)
    if (applet !== "" && applet !== "busybox") symlinkSync("busybox", join(folder, "bin", applet));
}

function ownBy(path: string, id: number): void {
  lchownSync(path, id, id);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) ownBy(inner, id);
    else lchownSync(inner, id, id);
  }
}
