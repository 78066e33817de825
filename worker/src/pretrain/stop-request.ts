// Signals only set a flag here; ranks agree on stopping at a step boundary (train-step.ts carries the flag).

export interface StopRequest {
  /** The first signal received, or undefined. */
  readonly signal: NodeJS.Signals | undefined;
}

/** SIGUSR1 is left to Node's inspector; Slurm is asked to send SIGUSR2 ahead of the time limit. */
export const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

/** The handlers stay until the process ends: a worker on its way out must not be ended by a signal instead. */
export function listenForStop(onRequest: (signal: NodeJS.Signals) => void): StopRequest {
  let received: NodeJS.Signals | undefined;
  for (const signal of STOP_SIGNALS) {
    process.on(signal, () => {
      if (received !== undefined) return;
      received = signal;
      onRequest(signal);
    });
  }
  return {
    get signal() {
      return received;
    },
  };
}
