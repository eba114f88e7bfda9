import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceState } from "@aegis/protocol/instance";
import { launchBrowser } from "../browser.ts";
import { KitFixture } from "../kit-fixture.ts";

const kit = new KitFixture();
let browser: Browser;
let chat: Page;
let chatUrl: string;
let siteUrl: string;

async function say(text: string): Promise<void> {
  const box = chat.getByRole("textbox");
  await box.fill(text);
  await box.press("Enter");
}

const state = (wanted: InstanceState) => kit.reaches("work-1", wanted);

async function newPage(): Promise<Page> {
  const page = await browser.newPage();
  // a site may have to be booted first
  page.setDefaultTimeout(120_000);
  return page;
}

/** @returns the headline of the site, in a tab that is closed again */
async function openSite(): Promise<string> {
  const page = await newPage();
  await page.goto(siteUrl);
  const text = (await page.getByRole("heading").first().textContent()) ?? "";
  await page.close();
  return text;
}

async function taskRuns(): Promise<number> {
  let runs = 0;
  for await (const { line } of kit.client.instances.logs("work-1")) if (line.includes("starting the agent")) runs += 1;
  return runs;
}

/** Each step goes on from the one before. */
describe("the story, in the browser", { timeout: 180_000 }, () => {
  beforeAll(async () => {
    chatUrl = await kit.start("Chat", "--idle", "8");
    browser = await launchBrowser();
    chat = await newPage();
    await chat.goto(chatUrl);
  }, 900_000);

  afterAll(async () => {
    await browser?.close();
    expect(await kit.remove()).toEqual([]);
  }, 120_000);

  it("a second start says where the first one is", async () => {
    const { code, output } = await kit.startAgain();
    expect(output + kit.output.join("\n")).toContain(chatUrl);
    expect(code).toBe(1);
  });

  it("labels the demo model as such", async () => {
    const label = chat.getByText("offline demo model").first();
    await label.waitFor();
    expect(await label.isVisible()).toBe(true);
  });

  it("runs a command in the sandbox of the chat", async () => {
    await say("run echo $((6 * 7)) in $(hostname)");
    const answer = chat.getByText(/42 in sandbox-/).first();
    await answer.waitFor();
    expect(await answer.textContent()).toContain("sandbox-telegram-direct-42-");
  });

  it("starts the work and says so", async () => {
    await say("build me a website about lobsters");
    await chat.getByText(/I have started a work instance/).waitFor();
    expect(await kit.aegis("instance", "list")).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ handle: "work-1", parent_id: expect.stringMatching(/^inst-/) }),
      ]),
    );
  });

  it("shows progress, then the link, exactly once", async () => {
    await chat.getByText(/wrote index\.html/).waitFor();
    const link = chat.getByRole("link", { name: /^http:\/\/127\.0\.0\.1:\d+\/?$/ });
    await link.first().waitFor();
    siteUrl = (await link.first().getAttribute("href")) ?? "";
    expect(await link.count()).toBe(1);
  });

  it("the link opens the page", async () => {
    expect(await openSite()).toMatch(/lobster/i);
  });

  it("shows the logs of the work instance", async () => {
    await say("show me the logs");
    const output = chat.getByText(/serving \/workspace\/site on port 8080/);
    await output.waitFor();
    expect(await output.innerText()).toContain("wrote index.html");
  });

  it("pauses when idle, and opening the link wakes it", async () => {
    await state("paused");
    expect(await openSite()).toMatch(/lobster/i);
    expect((await kit.client.instances.get("work-1")).state).toBe("running");
  });

  it("after a stop the link boots it again, and the task is not done again", async () => {
    await kit.aegis("instance", "stop", "work-1");
    await state("stopped");
    expect(await openSite()).toMatch(/lobster/i);
    expect(await taskRuns()).toBe(1);
  });

  it("stops it when told to", async () => {
    await say("stop it");
    expect(await state("stopped")).toMatchObject({ failure: null });
    await chat
      .getByText(/stopped/i)
      .first()
      .waitFor();
  });

  it("Ctrl-C ends everything, and the next start does none of the setting up again", async () => {
    await kit.interrupt();
    await expect(kit.client.status()).rejects.toMatchObject({ code: "unavailable" });
    kit.output.length = 0;
    // another setting gives the bot another spec, and must not cost the user the site
    expect(await kit.start("Chat", "--idle", "9")).toBe(chatUrl);
    expect(kit.output.join("\n")).not.toMatch(/installing|building|bundling/);
    await chat.goto(chatUrl);
    await chat.getByText("build me a website about lobsters").first().waitFor();
    expect(await openSite()).toMatch(/lobster/i);
  });
});
