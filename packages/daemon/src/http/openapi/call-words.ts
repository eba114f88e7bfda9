import Type, { type TSchema } from "typebox";
import { GuestSelf } from "@aegis/protocol/guest";
import { Endpoint, InstanceView } from "@aegis/protocol/instance";
import { Lease } from "@aegis/protocol/lease";
import { KitView } from "@aegis/protocol/kit";
import { WorkspaceTree, WorkspaceWritten } from "@aegis/protocol/workspace";

/** What the routes themselves do not say of a call. */
export interface CallWords {
  summary: string;
  /** what a good answer is: JSON of a shape, lines of JSON, bytes, text, or nothing */
  answer: { json: TSchema } | { lines: string } | { bytes: string } | { text: string } | null;
  /** where it is not 200, or 204 without a body */
  status?: number;
  query?: Record<string, string>;
}

const anything = (description: string): CallWords["answer"] => ({ json: Type.Unknown({ description }) });
const instance: CallWords["answer"] = { json: InstanceView };
const instances: CallWords["answer"] = { json: Type.Array(InstanceView) };
const endpoint: CallWords["answer"] = { json: Endpoint };
const FILE = { path: "file below the workspace, as in src/main.js" };
const EVENTS = { since_seq: "only events after this number", follow: "false: end after what there is" };
const LOGS = {
  follow: "true: go on with new lines",
  tail: "only the last n lines",
  since: "RFC 3339, lines from then on",
};

/** By method and path as they are routed. What both APIs have is the same in both: a guest sees its own children. */
export const callWords: Record<string, CallWords> = {
  "GET /openapi.json": { summary: "This description", answer: anything("OpenAPI 3.1") },
  "GET /metrics": { summary: "Numbers for Prometheus", answer: { text: "text exposition format 0.0.4" } },
  "POST /v1/instances": {
    summary: "Create an instance and begin to boot it; 200 when a stopped one of that handle starts again",
    status: 201,
    answer: { json: Type.Pick(InstanceView, ["id", "handle", "state", "endpoints"]) },
  },
  "GET /v1/instances": {
    summary: "All instances, running ones first",
    answer: instances,
    query: { state: "only those in this state", parent_id: "only the children of this one" },
  },
  "GET /v1/instances/:id": { summary: "One instance, with its use of resources", answer: instance },
  "PUT /v1/instances/:id": { summary: "Stop it and give it another spec", answer: instance },
  "PATCH /v1/instances/:id": { summary: "Change when it sleeps and starts again", answer: instance },
  "DELETE /v1/instances/:id": { summary: "Remove it and its children; workspaces stay", answer: null },
  "POST /v1/instances/:id/start": { summary: "Start it, and wait until it runs", answer: instance },
  "POST /v1/instances/:id/stop": { summary: "Stop it and its children; a connection wakes it", answer: instance },
  "POST /v1/instances/:id/restart": { summary: "Stop and start", answer: instance },
  "POST /v1/instances/:id/disable": { summary: "Stop it; nothing wakes it", answer: instance },
  "POST /v1/instances/:id/pause": { summary: "Freeze it, memory kept", answer: instance },
  "POST /v1/instances/:id/hibernate": {
    summary: "Write its memory to disk and free it; the next wake goes on from there",
    answer: instance,
  },
  "POST /v1/instances/:id/resume": { summary: "Go on after a pause", answer: instance },
  "POST /v1/instances/prune": {
    summary: "Delete what has been stopped for long",
    answer: anything("{deleted: [handle]}"),
  },
  "PUT /v1/instances/:id/capabilities": { summary: "Replace what it may do, from now on", answer: instance },
  "DELETE /v1/instances/:id/capabilities": {
    summary: "Revoke what it may do, and what all below it may",
    answer: instance,
  },
  "PUT /v1/instances/:id/secrets": { summary: "Which secrets it gets from its next start on", answer: instance },
  "POST /v1/instances/:id/exec": {
    summary: "Run a command, line by line. Wakes a paused or hibernated instance",
    answer: { lines: "{exec_id, started_at}, then {stream, line, ts, exec_id}, then {exec_id, exit_code, done: true}" },
  },
  "GET /v1/instances/:id/exec": {
    summary:
      "The same over a WebSocket (Upgrade: websocket), with stdin, a terminal and signals; messages are frames of a type byte, four bytes of length and the payload",
    status: 101,
    answer: null,
    query: { request: "the exec body as JSON, with cols and rows for a terminal; absent: it is the first message" },
  },
  "GET /v1/instances/:id/logs": {
    summary: "What it has printed",
    answer: { lines: "{ts, stream, source, exec_id?, line}" },
    query: LOGS,
  },
  "POST /v1/instances/:id/expose": { summary: "Give a port a public port; idempotent", answer: endpoint },
  "DELETE /v1/instances/:id/expose/:port": { summary: "Take the public port back", answer: null },
  "POST /v1/instances/:id/lease": { summary: "Keep it awake for a while", answer: { json: Lease } },
  "DELETE /v1/instances/:id/lease/:lease": { summary: "Give a lease back", answer: null },
  "GET /v1/instances/:id/workspace/tree": {
    summary: "Files of its workspace",
    answer: { json: WorkspaceTree },
    query: {
      path: "a folder; absent: all",
      depth: "levels, 8 unless said, at most 32",
      limit: "1000 unless said, at most 10000",
    },
  },
  "GET /v1/instances/:id/workspace": { summary: "A file", answer: { bytes: "the file" }, query: FILE },
  "POST /v1/instances/:id/workspace": {
    summary: "Make or replace a file as a whole, and the folders above it; the body is the file, 1 GiB at most",
    answer: { json: WorkspaceWritten },
    query: { ...FILE, mode: "permission bits as in 755; absent: as before, or 644" },
  },
  "DELETE /v1/instances/:id/workspace": { summary: "Remove a file or an empty folder", answer: null, query: FILE },
  "POST /v1/instances/:id/previews": { summary: "A link to its site", status: 201, answer: anything("the link") },
  "GET /v1/instances/:id/previews": { summary: "Links to its site", answer: anything("array of links") },
  "DELETE /v1/instances/:id/previews/:preview": { summary: "Take a link back", answer: null },
  "GET /v1/events": {
    summary: "What happens, as it happens; seq grows, and has gaps on the Guest API",
    answer: { lines: "{seq, ts, type, ...}" },
    query: EVENTS,
  },
  "GET /v1/self": { summary: "Who the instance is and what it may do", answer: { json: GuestSelf } },
  "POST /v1/self/keepalive": { summary: "Stay awake for a while; several at once", answer: { json: Lease } },
  "DELETE /v1/self/keepalive": { summary: "Give a keepalive back: the named one, or the newest", answer: null },
  "POST /v1/self/expose": { summary: "Give a port of its own a public port", answer: endpoint },
  "DELETE /v1/self/expose/:port": { summary: "Take it back", answer: null },
  "POST /v1/self/restart": {
    summary: "Restart the instance: answers first",
    status: 202,
    answer: anything("{id, handle, state: restarting}"),
  },
  "POST /v1/self/previews": { summary: "A link to its own site", status: 201, answer: anything("the link") },
  "GET /v1/self/previews": { summary: "Links to its own site", answer: anything("array of links") },
  "DELETE /v1/self/previews/:preview": { summary: "Take a link back", answer: null },
  "GET /v1/secrets": { summary: "Names of secrets; values never come out", answer: anything("array of {name}") },
  "GET /v1/secrets/:name": { summary: "Whether there is such a secret", answer: anything("{name}") },
  "PUT /v1/secrets/:name": { summary: "Store a value", answer: anything("{name}") },
  "DELETE /v1/secrets/:name": { summary: "Forget it", answer: null },
  "POST /v1/secrets/rotate-key": { summary: "A new key for all secrets", answer: anything("what was done") },
  "GET /v1/images": { summary: "Images in the store", answer: anything("array of images") },
  "POST /v1/images": {
    summary: "Fetch an image, or take a local layout in",
    answer: { lines: "progress, then {done: true, image}" },
  },
  "DELETE /v1/images/*": { summary: "Remove an image", answer: null },
  "POST /v1/images/warm": { summary: "Make new instances of it start fast", answer: anything("what was made ready") },
  "POST /v1/images/prune": { summary: "Remove images that nothing uses", answer: anything("what was removed") },
  "GET /v1/public-url": { summary: "Where the router is reached from outside", answer: anything("{url}") },
  "PUT /v1/public-url": { summary: "Say where it is reached from outside", answer: anything("{url}") },
  "GET /v1/audit": {
    summary: "Who did what, and what was refused",
    answer: { lines: "audit entries" },
    query: {
      instance: "id or handle",
      action: "one action",
      decision: "allowed, refused or failed",
      since: "RFC 3339",
      limit: "how many",
      follow: "true: go on",
    },
  },
  "GET /v1/audit/verify": { summary: "Whether the audit log is whole", answer: anything("{ok, ...}") },
  "GET /v1/kits": {
    summary: "The kits of this installation, and what `aegis kit` can do with them",
    answer: { json: Type.Array(KitView) },
  },
  "GET /v1/status": { summary: "How the daemon is", answer: anything("status, version, backend, counts") },
  "POST /v1/shutdown": { summary: "End the daemon; answers first", status: 202, answer: anything("{status}") },
};
