import { lifetimeIsOver } from "./failure-text.ts";
import type { WorkRecord } from "./work-record.ts";
import { WorkRefused } from "./work-refused.ts";
import type { WorkParts } from "./work-tools.ts";
import { isAlive } from "./work-watcher.ts";

/** Starts it again. What was not done is watched and told again. @returns what happened, for people */
export async function resumeWork({ api, store, watcher }: WorkParts, work: WorkRecord): Promise<string> {
  const instance = await api.get(work.id);
  if (lifetimeIsOver(instance))
    throw new WorkRefused(`The time of ${work.handle} is over: nothing starts it again. Start another one.`);
  const again = work.phase === "failed" || work.phase === "stopped";
  if (isAlive(instance) && !again) return `${work.handle} is ${instance.state}; there is nothing to resume.`;
  // a task that failed leaves its machine running, with the page that says why
  if (isAlive(instance)) await api.stop(work.id);
  const startedAt = new Date().toISOString();
  await api.start(work.id);
  if (!again) return `${work.handle} is running again. Its work was done before and is not done again.`;
  store.update(work.id, { phase: "running", started_at: startedAt, progress_message: null });
  watcher.watch(work);
  return `${work.handle} is working again.`;
}
