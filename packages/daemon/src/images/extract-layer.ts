import { open } from "node:fs/promises";
import { runTool } from "./run-tool.ts";

const RECORD_BYTES = 10_240;
const RECORDS_PER_CHECKPOINT = 1000;

/**
 * The tools run as the owner of the files, in a root that holds nothing but the host's /usr, read-only, and the target: where
 * a link in a hostile image points, there is nothing to reach. The target is the current folder: its path leads through folders
 * of root's that they may not enter. Arguments: `first` or `later`, then tar's decompression flag.
 */
const SANDBOX = `set -eu
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/usr /mnt/target /mnt/proc /mnt/old
mount --no-canonicalize --bind . /mnt/target
cd /mnt
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount -t proc proc proc
for name in bin lib lib64; do ln -s usr/$name $name; done
pivot_root . old
umount -l /old
rmdir old
layer=$1
shift
set -- "$@" --directory=/target --numeric-owner --anchored
: > whiteouts
if [ $layer = later ]; then
  tar --list --quoting-style=literal "$@" <&0 > names
  sed -n '/^\\(.*\\/\\)\\{0,1\\}\\.wh\\.[^/]*$/p' names > whiteouts
fi
umount -l /proc
mount -o remount,ro /
while IFS= read -r entry; do
  base=\${entry##*/}
  folder=/target/\${entry%"$base"}
  name=\${base#.wh.}
  case $name in
    .wh..opq) if [ -d "$folder" ]; then find "$folder" -mindepth 1 -maxdepth 1 -exec rm -rf -- {} +; fi ;;
    .wh.*) ;;
    *) rm -rf -- "$folder$name" ;;
  esac
done < whiteouts
exec tar --extract --same-owner --same-permissions --warning=no-unknown-keyword --warning=no-timestamp \\
  --checkpoint=${RECORDS_PER_CHECKPOINT} --checkpoint-action=echo=%u \\
  --exclude=dev/* --exclude=./dev/* --exclude=/dev/* --no-anchored --exclude=.wh.* "$@" <&3
`;

export interface Extraction {
  /** file of the layer, as a tar, plain or compressed */
  layer: string;
  first: boolean;
  rootfs: string;
  namespace: string;
  onBytes: (bytes: number) => void;
  signal: AbortSignal | undefined;
}

/**
 * Puts one layer over what is in the folder already. Extended attributes and what is in /dev stay out of it.
 * @throws ToolFailed where tar cannot do what the layer asks for: leave it to umoci then
 */
export async function extractLayer({ layer, first, rootfs, namespace, onBytes, signal }: Extraction): Promise<void> {
  const names = await open(layer);
  const content = await open(layer);
  try {
    const flag = decompressionFlag((await content.read(Buffer.alloc(4), 0, 4, 0)).buffer);
    const enter = ["nsenter", `--user=${namespace}`, "--setuid=0", "--setgid=0", "--"];
    const isolate = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child=KILL", "--"];
    const script = ["sh", "-c", SANDBOX, "sh", first ? "first" : "later", ...flag];
    const onErrorLine = (line: string) => {
      const records = /^tar: (\d+)$/.exec(line)?.[1];
      if (records !== undefined) onBytes(Number(records) * RECORD_BYTES);
    };
    const files = [names.fd, content.fd];
    await runTool([...isolate, ...script], { enter, cwd: rootfs, files, onErrorLine, signal });
  } finally {
    await names.close();
    await content.close();
  }
}

function decompressionFlag(magic: Buffer): string[] {
  if (magic.readUInt16BE(0) === 0x1f8b) return ["--gzip"];
  return magic.readUInt32BE(0) === 0x28b52ffd ? ["--zstd"] : [];
}
