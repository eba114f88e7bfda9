import type { ActivityReport, HarnessNotifications, ProcessExit } from "@aegis/protocol/control";
import { instanceActor } from "./audit.ts";
import type { Audit } from "./audit.ts";
import { AegisError } from "@aegis/protocol/errors";
import type { HarnessObserver, ReverseStream } from "./harness.ts";
import type { InstanceJournal } from "./instance-journal.ts";
import { LogIntake } from "./log-intake.ts";
import type { LogPosition, Logs } from "./logs.ts";
import type { TokenIssuer } from "./token-issuer.ts";

export interface BootObserverParts {
  boot: number;
  log: LogPosition;
  journal: InstanceJournal;
  logs: Logs;
  tokens: TokenIssuer;
  audit: Audit;
  warn: (message: string) => void;
  /** a process inside opened a stream, and its token was good */
  onStream: (request: HarnessNotifications["stream.open"], reverse: ReverseStream) => Promise<void>;
  onHeartbeat: (report: ActivityReport) => void;
  /** whether the harness can know a token of this boot already; one that was taken up from disk has an older one at first */
  isTokenKnown: () => boolean;
  onTokenRefused: () => void;
  onProcessExited: (exit: ProcessExit) => void;
  onLogSaved: (seq: number) => void;
}

/** Listens to the harness of one boot, and to no other: what a boot that is over still says counts for nothing. */
export function bootObserver(parts: BootObserverParts): HarnessObserver {
  const { boot, log, journal, logs, tokens } = parts;
  const { id } = journal.record;
  const intake = new LogIntake({
    logs,
    instanceId: id,
    boot: log.boot,
    savedBefore: log.seq,
    onGap: (lines) => journal.say(`${lines} lines were dropped because nobody took them in time`),
    acknowledge: parts.onLogSaved,
  });
  const onStreamOpened = async (request: HarnessNotifications["stream.open"], reverse: ReverseStream) => {
    const isTokenKnown = parts.isTokenKnown(); // when it came: its answer to the new token comes behind
    const current = boot === journal.seen.boot && (await tokens.verify(request.token, id, boot));
    if (!current) {
      // it says so again once it has its token
      if (!isTokenKnown) return;
      const reason = "the capability token is not that of this boot";
      const actor = instanceActor({ ...journal.record, boot });
      parts.audit.record({ actor, action: "channel.open", target: id, decision: "refused", reason });
      parts.onTokenRefused();
      return reverse.refuse(reason);
    }
    await parts.onStream(request, reverse);
  };
  return {
    log: (line) => intake.take(line),
    logDropped: (lines) => intake.dropped(lines),
    activity: parts.onHeartbeat,
    processExited: parts.onProcessExited,
    streamOpened: (request, reverse) => {
      onStreamOpened(request, reverse).catch((error: unknown) => {
        reverse.refuse("the call could not be taken");
        // Its own doing, and as often as it likes: nothing for the daemon's log.
        if (error instanceof AegisError && error.code === "guest_unreachable") return;
        parts.warn(`a call from ${id}: ${String(error)}`);
      });
    },
  };
}
