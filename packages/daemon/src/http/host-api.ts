import { chmodSync, chownSync, rmSync } from "node:fs";
import type { AuditActor } from "@aegis/protocol/audit";
import type { WarmedImage, WarmImage } from "@aegis/protocol/warm-image";
import type { KeyRotated } from "@aegis/protocol/secret";
import type { Audit, AuditLog } from "../core/audit.ts";
import type { EventLog } from "../core/event-log.ts";
import type { ImageImporter, Images } from "../core/images.ts";
import type { Instances } from "../core/instances.ts";
import type { Logs } from "../core/logs.ts";
import type { Previews } from "../core/previews.ts";
import type { Secrets } from "../core/secrets.ts";
import type { WorkspaceFiles } from "../core/workspace-files.ts";
import { makeApp } from "./app.ts";
import { auditCalls } from "./audit-calls.ts";
import { auditExecs } from "./audit-execs.ts";
import { EXEC_UPGRADE, ExecSocket } from "./exec-socket.ts";
import { describeApi } from "./openapi/describe-api.ts";
import { auditRoutes } from "./routes/audit.ts";
import { daemonRoutes } from "./routes/daemon.ts";
import type { DaemonControl } from "./routes/daemon.ts";
import { imageRoutes } from "./routes/images.ts";
import { instanceIoRoutes } from "./routes/instance-io.ts";
import { instanceRoutes } from "./routes/instances.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { previewRoutes, publicUrlRoutes } from "./routes/previews.ts";
import type { PublicAddress } from "./routes/previews.ts";
import { secretRoutes } from "./routes/secrets.ts";
import { workspaceRoutes } from "./routes/workspace.ts";

export interface HostApiDeps {
  instances: Instances;
  images: Images & ImageImporter;
  warm: (wanted: WarmImage, signal: AbortSignal) => Promise<WarmedImage>;
  secrets: Secrets;
  rotateKey: () => Promise<KeyRotated>;
  logs: Logs;
  events: EventLog;
  previews: Previews;
  publicAddress: PublicAddress;
  audit: Audit;
  auditLog: AuditLog;
  files: WorkspaceFiles;
  daemon: DaemonControl;
  warn: (message: string) => void;
}

export interface HostApi {
  close(): Promise<void>;
}

/**
 * Serves the host API on a unix socket that only its owner can open. The caller holds the home's lock, so a socket file
 * that is there belongs to nobody.
 */
export async function serveHostApi(
  deps: HostApiDeps,
  socketPath: string,
  owner: { uid: number; gid: number },
): Promise<HostApi> {
  const app = makeApp(deps.warn);
  // who may open the socket is its owner, or root in the owner's place: the kernel would know, Node does not ask it
  const actor: AuditActor = { kind: "host", uid: owner.uid };
  auditCalls(app, {
    audit: deps.audit,
    actor: () => actor,
    idOf: (name) => deps.instances.peek(name)?.id ?? name,
    warn: deps.warn,
  });
  describeApi(app, "Aegis host API", [EXEC_UPGRADE], deps.warn);
  instanceRoutes(app, deps.instances);
  instanceIoRoutes(app, deps.instances, deps.logs);
  secretRoutes(app, deps.secrets, deps.rotateKey);
  imageRoutes(app, deps.images, deps.instances, deps.warm);
  previewRoutes(app, deps.previews, "/v1/instances/:id", ({ params }) => deps.instances.find(params.id ?? ""));
  publicUrlRoutes(app, deps.publicAddress);
  daemonRoutes(app, deps.daemon, deps.events);
  auditRoutes(app, deps.auditLog, deps.instances);
  metricsRoute(app, deps.instances, deps.events.counts);
  workspaceRoutes(app, deps.files, (_request, name) => deps.instances.find(name));
  const execSocket = new ExecSocket(
    (_request, name) => deps.instances.find(name),
    auditExecs(deps.audit, () => actor),
  );
  execSocket.attach(app.server);
  rmSync(socketPath, { force: true });
  const umask = process.umask(0o177);
  try {
    await app.listen({ path: socketPath });
  } finally {
    process.umask(umask);
  }
  chmodSync(socketPath, 0o600);
  chownSync(socketPath, owner.uid, owner.gid);
  return {
    close: async () => {
      execSocket.close();
      await app.close();
    },
  };
}
