import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { AegisClient } from "@aegis/sdk/client";
import { collectGuestFiles } from "./guest-files.ts";
import { buildClawImage, type BaseChoice } from "./image/build-claw-image.ts";
import { clawImageRef } from "./image/claw-image-ref.ts";
import type { BuildStep } from "./image/step-reporter.ts";
import { clawVersions } from "./up-versions.ts";
import type { Report, UpProgress } from "./up-progress.ts";

/** What `aegis run` boots from when no image is named. */
const DEFAULT_REF = "aegis/claw:latest";

export interface ImageWork {
  client: AegisClient;
  /** the kit's folder in the home */
  folder: string;
  base: BaseChoice["kind"];
  openclaw: string;
  progress: UpProgress;
  signal: AbortSignal;
}

/** The image that the bot and its work instances run: built and stored once, and again when what goes into it changes. */
export async function ensureClawImage(work: ImageWork): Promise<string> {
  const guestFiles = join(work.folder, "guest-files");
  await rm(guestFiles, { recursive: true, force: true });
  await collectGuestFiles(guestFiles);
  const inputs = { ...clawVersions(work.openclaw), guestFiles };
  const ref = await clawImageRef(inputs);
  if (await isStored(work.client, ref)) return ref;
  const { layout } = await work.progress.step("building the claw image (once; takes some minutes)", (report) =>
    buildClawImage({
      ...inputs,
      workDir: join(work.folder, "image-build"),
      base: { kind: work.base },
      onProgress: (step) => report(stepText(step)),
      signal: work.signal,
    }),
  );
  await work.progress.step("taking the claw image into the image store", async (report) => {
    for (const name of [ref, DEFAULT_REF]) await importImage(work, name, layout, report);
  });
  return ref;
}

async function isStored(client: AegisClient, ref: string): Promise<boolean> {
  const refs = (await client.images.list()).flatMap((image) => image.refs);
  return refs.includes(ref) || refs.includes(`docker.io/${ref}`);
}

async function importImage(work: ImageWork, ref: string, layout: string, report: Report): Promise<void> {
  for await (const step of work.client.images.pull({ ref, layout }, work.signal)) {
    if ("message" in step) report(step.message + percent(step.done_bytes, step.total_bytes));
  }
}

const percent = (done: number | null, total: number | null) =>
  done === null || !total ? "" : `  ${Math.floor((100 * done) / total)} %`;

const stepText = (step: BuildStep) =>
  `step ${Math.min(step.done + 1, step.total)} of ${step.total}: ${step.name}${step.detail === null ? "" : `, ${step.detail}`}`;
