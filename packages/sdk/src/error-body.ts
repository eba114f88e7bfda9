export const isErrorBody = (value: unknown): value is { error: string; code: string } =>
  typeof value === "object" &&
  value !== null &&
  "error" in value &&
  typeof value.error === "string" &&
  "code" in value &&
  typeof value.code === "string";
