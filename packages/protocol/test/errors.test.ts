import { expect, test } from "vitest";
import { AegisError, isErrorCode, statusOf } from "../src/errors.ts";

test("an error survives the way over the wire", () => {
  const error = new AegisError("handle_taken", "The handle is taken.");
  expect(error.status).toBe(409);
  const back = AegisError.fromBody(JSON.parse(JSON.stringify(error.toBody())));
  expect(back).toMatchObject({ name: "AegisError", code: "handle_taken", message: "The handle is taken." });
});

test("a code that nobody knows is an internal error, names of Object's own included", () => {
  for (const code of ["from_the_future", "toString", "__proto__", ""]) {
    expect(isErrorCode(code)).toBe(false);
    expect(AegisError.fromBody({ error: "x", code }).code).toBe("internal");
  }
});

test("every status is an error status, and the cause is kept", () => {
  for (const status of Object.values(statusOf)) expect(status).toBeGreaterThanOrEqual(400);
  const cause = new Error("why");
  expect(new AegisError("internal", "x", { cause }).cause).toBe(cause);
});
