/** Error codes of JSON-RPC; from -32000 on they are ours. */
export const RpcCode = { unknownMethod: -32601, invalidParams: -32602, internal: -32603, refused: -32000 } as const;

/** What goes back to the host as an error without a code of its own. */
export class RpcFailure extends Error {
  readonly rpcCode: number;

  constructor(rpcCode: number, message: string) {
    super(message);
    this.rpcCode = rpcCode;
  }

  static unknownMethod = (method: string) =>
    new RpcFailure(RpcCode.unknownMethod, `The harness has no method "${method}".`);
  static invalidParams = (what: string) =>
    new RpcFailure(RpcCode.invalidParams, `The parameters are not valid: ${what}.`);
  static refused = (why: string) => new RpcFailure(RpcCode.refused, why);
}
