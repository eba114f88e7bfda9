import { AegisError } from "@aegis/protocol/errors";
import type { LlmSettings } from "../llm-settings.ts";

export type RealLlm = Exclude<LlmSettings, { kind: "demo" }>;

const PATIENCE_MS = 60_000;
const SHOWN = 200;

/**
 * Makes one call of a few tokens, as an agent would.
 * @param key null: without one
 * @throws AegisError in plain words; `unauthorized` when the key is refused
 */
export async function checkModel(llm: RealLlm, key: string | null): Promise<void> {
  const { url, headers, body } = question(llm, key);
  let answer: Response;
  let text: string;
  try {
    answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    text = await answer.text();
  } catch (error) {
    throw new AegisError(
      "unavailable",
      `${new URL(url).origin} cannot be reached (${why(error)}): is the address right?`,
      {
        cause: error,
      },
    );
  }
  if (!answer.ok) throw refusal(llm, answer.status, without(key, text));
}

/** Whether anybody answers at the provider's address; costs nothing, and says nothing about the key. */
export async function reachModel({ baseUrl }: Pick<RealLlm, "baseUrl">): Promise<string | null> {
  try {
    await fetch(baseUrl, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE_MS / 4) });
    return null;
  } catch (error) {
    return why(error);
  }
}

function question({ kind, baseUrl, model }: RealLlm, key: string | null) {
  const messages = [{ role: "user", content: "Say ok." }];
  if (kind === "anthropic")
    return {
      url: `${baseUrl}/v1/messages`,
      headers: { "anthropic-version": "2023-06-01", ...(key === null ? {} : { "x-api-key": key }) },
      body: { model, max_tokens: 1, messages },
    };
  // the models of OpenAI itself refuse the old name, and the reasoning ones a budget of nearly nothing
  const budget = kind === "openai" ? { max_completion_tokens: 16 } : { max_tokens: 1 };
  return {
    url: `${baseUrl}/chat/completions`,
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
    body: { model, messages, ...budget },
  };
}

function refusal({ model, baseUrl }: RealLlm, status: number, text: string): AegisError {
  const host = new URL(baseUrl).host;
  const said = text.replaceAll(/\s+/g, " ").slice(0, SHOWN);
  switch (status) {
    case 401:
    case 403:
      return new AegisError("unauthorized", `${host} refuses the key (${status}): copy it whole, or make a new one.`);
    case 404:
      return new AegisError("not_found", `${host} knows no model "${model}" at ${baseUrl} (404): ${said}`);
    case 429:
      return new AegisError("quota_exceeded", `${host} takes the key, but the account may not call now (429): ${said}`);
    default:
      return new AegisError("unavailable", `${host} answers ${status}: ${said}`);
  }
}

function why(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error) return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
  return String(cause);
}

const without = (key: string | null, text: string): string => (key === null ? text : text.replaceAll(key, "<key>"));
