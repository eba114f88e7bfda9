/** A wish that cannot be met; `message` is for the model and the person. */
export class WorkRefused extends Error {
  override readonly name = "WorkRefused";
}
