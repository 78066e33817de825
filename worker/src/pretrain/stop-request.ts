// Signals only set a flag here; ranks agree on stopping at a step boundary (train-step.ts carries the flag).

export interface StopRequest {
  /** The first signal received, or undefined. */
  readonly signal: NodeJS.Signals | undefined;
  dispose(): void;
}

/** SIGUSR1 is left to Node's inspector; Slurm is asked to send SIGUSR2 ahead of the time limit. */
export const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

export function listenForStop(onRequest: (signal: NodeJS.Signals) => void): StopRequest {
  let received: NodeJS.Signals | undefined;
  const handlers = STOP_SIGNALS.map((signal) => {
    const handler = (): void => {
      if (received !== undefined) return;
      received = signal;
      onRequest(signal);
    };
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return {
    get signal() {
      return received;
    },
    dispose: () => {
      for (const off of handlers) off();
    },
  };
}
