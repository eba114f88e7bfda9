const HEADER_FIELDS = 13;
const FILE_MODE = 0o100_644;
const FOLDER_MODE = 0o040_755;
const ALIGNMENT = 4;

const padded = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);

function entry(name: string, mode: number, content: Buffer): Buffer {
  const path = Buffer.from(`${name}\0`);
  const fields = Array.from({ length: HEADER_FIELDS }, () => 0);
  fields[1] = mode;
  fields[4] = 1; // links to it
  fields[6] = content.length;
  fields[11] = path.length;
  const header = `070701${fields.map((value) => value.toString(16).padStart(8, "0")).join("")}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), path])), padded(content)]);
}

/**
 * An archive as the kernel unpacks one over its initramfs, in the format "newc" (Documentation/driver-api/early-userspace/
 * buffer-format.rst of Linux).
 * @param files content by path, without a leading slash; `folders` are made first
 */
export function cpioArchive(folders: readonly string[], files: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat([
    ...folders.map((name) => entry(name, FOLDER_MODE, Buffer.alloc(0))),
    ...Object.entries(files).map(([name, text]) => entry(name, FILE_MODE, Buffer.from(text))),
    entry("TRAILER!!!", 0, Buffer.alloc(0)),
  ]);
}
