// ONNX Runtime's builds report their use to their maker, from a database in the home folder and a log in /tmp for every process.
// It reads this variable when it is loaded. Whoever wants the reports sets it to 0.
process.env.ORT_DISABLE_TELEMETRY ??= '1';
