import { good, missing, weak, type Finding } from "./finding.ts";
import { versionOf } from "./program-version.ts";

interface Tool {
  command: string;
  args: string[];
  package: string;
  /** what is lost without it, where that is not everything */
  loses?: string;
}

const TOOLS: Tool[] = [
  { command: "skopeo", args: ["--version"], package: "skopeo" },
  { command: "umoci", args: ["--version"], package: "umoci" },
  { command: "tini-static", args: ["--version"], package: "tini" },
  { command: "nft", args: ["--version"], package: "nftables" },
  { command: "ip", args: ["-V"], package: "iproute2" },
  { command: "mkfs.ext4", args: ["-V"], package: "e2fsprogs", loses: "instances run without a disk limit" },
  { command: "mmdebstrap", args: ["--version"], package: "mmdebstrap", loses: "no local build of the claw image" },
];

/** The programs that aegisd starts, with their versions. */
export async function checkTools(): Promise<Finding[]> {
  const [crun, runc, ...others] = await Promise.all([
    versionOf("crun", ["--version"]),
    versionOf("runc", ["--version"]),
    ...TOOLS.map(checkTool),
  ]);
  return [runtime(crun, runc), ...others];
}

/** crun is the better one: it maps the owner of workspace files. */
function runtime(crun: string | null, runc: string | null): Finding {
  if (crun !== null) return good("OCI runtime", crun);
  if (runc !== null) return weak("OCI runtime", runc, "files in workspaces get odd owners with runc: apt install crun");
  return missing("OCI runtime", "neither crun nor runc", "apt install crun");
}

async function checkTool(tool: Tool): Promise<Finding> {
  const version = await versionOf(tool.command, tool.args);
  if (version !== null) return good(tool.command, version);
  const fix = `apt install ${tool.package}`;
  return tool.loses === undefined ? missing(tool.command, "not found", fix) : weak(tool.command, tool.loses, fix);
}
