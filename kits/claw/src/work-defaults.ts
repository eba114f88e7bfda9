/** What a work instance gets unless the settings say otherwise. OpenClaw's headless agent peaks at 860 MB. */
export const workDefaults = {
  memory_mb: 1536,
  max_memory_mb: 4096,
  vcpus: 1,
  pause_after_idle_s: 60,
  stop_after_paused_s: 300,
} as const;

/** OpenClaw's gateway idles at 760 MB and peaks at 1.5 GB. It takes long to boot, so it is kept paused for long. */
export const botDefaults = {
  memory_mb: 2048,
  min_memory_mb: 1536,
  vcpus: 2,
  pause_after_idle_s: 60,
  stop_after_paused_s: 3600,
} as const;
