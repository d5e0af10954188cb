// Small applications, each instrumented by one package: `node programs.mjs NAME`, run where node_modules lies.
// They call the model server at MODEL_URL and export over OTLP to OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.cwd(), "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { createOpenAI } = await load("@ai-sdk/openai");
const { z } = await load("zod");
const openai = createOpenAI({ baseURL: process.env.MODEL_URL, apiKey: "sk-test" });
const lookup = async ({ key }) => ({ value: key });

async function vercel(integration) {
  const { NodeTracerProvider, SimpleSpanProcessor } = await load("@opentelemetry/sdk-trace-node");
  const { OTLPTraceExporter } = await load("@opentelemetry/exporter-trace-otlp-proto");
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter())] });
  provider.register();
  const ai = await load("ai");
  const otel = await load("@ai-sdk/otel");
  ai.registerTelemetry(new otel[integration]());
  const common = { system: "You are terse.", maxRetries: 0, telemetry: { isEnabled: true, functionId: "chat" } };
  const chat = (model) => openai.chat(model);
  await ai.generateText({
    ...common,
    model: chat("gpt-4o-mini"),
    prompt: "Hello",
    tools: { lookup: ai.tool({ inputSchema: z.object({ key: z.string() }), execute: lookup }) },
    stopWhen: ai.stepCountIs(3),
  });
  const streamed = ai.streamText({ ...common, model: chat("gpt-4o-mini"), prompt: "Stream" });
  for await (const _ of streamed.textStream);
  await ai.generateText({ ...common, model: chat("always-limited"), prompt: "Hello" }).catch(() => {});
  await ai.embedMany({ model: openai.textEmbeddingModel("text-embedding-3-small"), values: ["one", "two"], ...common });
  await provider.shutdown();
}

async function mastra() {
  const { Mastra } = await load("@mastra/core/mastra");
  const { Agent } = await load("@mastra/core/agent");
  const { createTool } = await load("@mastra/core/tools");
  const { Observability } = await load("@mastra/observability");
  const { OtelExporter } = await load("@mastra/otel-exporter");
  const tool = createTool({
    id: "lookup", description: "Look up", inputSchema: z.object({ key: z.string() }), execute: lookup,
  });
  const agent = new Agent({
    id: "finder", name: "finder", instructions: "You are terse.", model: openai.chat("gpt-4o-mini"), tools: { lookup: tool },
  });
  const endpoint = process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const exporter = new OtelExporter({ provider: { custom: { endpoint, protocol: "http/protobuf" } } });
  const observability = new Observability({ configs: { otel: { serviceName: "test", exporters: [exporter] } } });
  const app = new Mastra({ agents: { agent }, logger: false, observability });
  await app.getAgent("agent").generate("Hello", {
    tracingOptions: { metadata: { userId: "user-4711", threadId: "thread-9" }, tags: ["prod"] },
  });
  await app.shutdown?.();
  await exporter.shutdown();
}

const [, , name, ...rest] = process.argv;
await { vercel, mastra }[name](...rest);
process.exit(0);
