import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { SetupFailure } from "./failure.mjs";
import { step } from "./progress.mjs";

/** Package, the program it is needed for, and why. */
const FOR_RUNNING = [
  ["crun", "crun", "runs instances"],
  ["runc", "runc", "runs instances where crun does not"],
  ["skopeo", "skopeo", "fetches images"],
  ["umoci", "umoci", "unpacks images"],
  ["tini", "tini-static", "first process of an instance"],
  ["patchelf", "patchelf", "builds the commands of an instance"],
  ["nftables", "nft", "keeps instances apart"],
  ["iproute2", "ip", "gives instances a network"],
  ["e2fsprogs", "mkfs.ext4", "gives each instance a disk of its own"],
  ["mmdebstrap", "mmdebstrap", "builds the claw image"],
  ["ca-certificates", "update-ca-certificates", "trusts registries"],
];
const FOR_VMS = [
  ["qemu-system-x86", "qemu-system-x86_64", "runs instances as virtual machines"],
  ["qemu-system-common", "qemu-system-x86_64", "shares workspaces with virtual machines"],
  ["erofs-utils", "mkfs.erofs", "makes images into disks of virtual machines"],
  ["busybox-static", "busybox", "starts virtual machines"],
];
const FOR_TESTS = [
  ["docker-registry", "docker-registry", "a registry to pull from"],
  ["chromium", "chromium", "the browser of the end-to-end test"],
  ["curl", "curl", "runs the examples of the documentation"],
  ["gcc", "cc", "attacks to try from inside an instance"],
  ["libc6-dev", "cc", "attacks to try from inside an instance"],
  ["openssl", "openssl", "a certificate that nobody trusts"],
];

/** Installs the Debian packages that are missing, each named first. Without apt it only says what is missing. */
export async function ensureDebianPackages({ tests, vms, install }) {
  const missing = missingPackages([...FOR_RUNNING, ...(vms ? FOR_VMS : []), ...(tests ? FOR_TESTS : [])]);
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name);
  const how = `apt-get install ${names.join(" ")}`;
  if (!install)
    throw new SetupFailure(
      `missing on this machine, and --no-install was given: ${names.join(", ")}.\nInstall them: ${how}`,
    );
  if (!hasProgram("apt-get"))
    throw new SetupFailure(
      `missing on this machine: ${names.join(", ")}.\nThis is no Debian and has no apt-get: install them with your own package manager, ` +
        `then start again (it looks for ${missing.map(([, program]) => program).join(", ")} on PATH).`,
    );
  process.stdout.write("these Debian packages are missing and are installed now:\n");
  for (const [name, , why] of missing) process.stdout.write(`  ${name.padEnd(16)} ${why}\n`);
  await step(`installing ${names.length} Debian packages`, async (report) => {
    await apt(["update"], report, how);
    await apt(["install", "--yes", "--no-install-recommends", ...names], report, how);
  });
  if (names.includes("docker-registry")) keepRegistryOff();
}

/** dpkg knows best; where there is none, the program itself counts. */
function missingPackages(packages) {
  const { status, stdout } = spawnSync(
    "dpkg-query",
    ["--show", "--showformat=${Package} ${db:Status-Status}\n", ...packages.map(([name]) => name)],
    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } },
  );
  if (status === null) return packages.filter(([, program]) => !hasProgram(program));
  const installed = new Set(
    stdout
      .split("\n")
      .filter((line) => line.endsWith(" installed"))
      .map((line) => line.split(" ")[0]),
  );
  return packages.filter(([name]) => !installed.has(name));
}

const hasProgram = (program) =>
  `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin`
    .split(delimiter)
    .some((folder) => existsSync(join(folder, program)));

/** apt tells how far it is on a descriptor of its own: `dlstatus` and `pmstatus` lines with a percentage. */
function apt(args, report, how) {
  return new Promise((resolve, reject) => {
    const child = spawn("apt-get", ["--quiet", "-o", "APT::Status-Fd=3", "-o", "Dpkg::Use-Pty=0", ...args], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    });
    const tail = [];
    const keep = (line) => {
      tail.push(line);
      if (tail.length > 12) tail.shift();
    };
    createInterface({ input: child.stdout }).on("line", keep);
    createInterface({ input: child.stderr }).on("line", keep);
    createInterface({ input: child.stdio[3] }).on("line", (line) => {
      const [kind, , percent, what] = line.split(":");
      if (kind === "dlstatus" || kind === "pmstatus") report(`${Math.round(Number(percent))} %  ${what ?? ""}`);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve();
      reject(new SetupFailure(aptProblem(args[0], code, tail, how)));
    });
  });
}

function aptProblem(verb, code, tail, how) {
  const text = tail.join("\n");
  const hint = /Could not get lock/.test(text)
    ? "Another apt or dpkg is at work: wait until it is done."
    : /Unable to locate package/.test(text)
      ? "This release does not have the package: Debian 12 and later do."
      : "Does this machine reach its Debian mirror (`apt-get update`), and is there space on the disk (`df -h /`)?";
  return `apt-get ${verb} failed (exit code ${code}):\n${tail.map((line) => `  ${line}`).join("\n")}\n${hint}\nYou can also install them yourself: ${how}\nThen start again.`;
}

/** Debian starts a service for it; the tests start their own on loopback, and nobody asked for more. */
function keepRegistryOff() {
  if (existsSync("/run/systemd/system"))
    spawnSync("systemctl", ["disable", "--now", "docker-registry"], { stdio: "ignore" });
}
