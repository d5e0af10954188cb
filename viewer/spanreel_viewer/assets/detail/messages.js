// Conversations in the GenAI convention's shape, or a provider's, brought to one. Pure.

/**
 * @typedef {{type: "text"|"reasoning", text: string}} TextPart
 * @typedef {{type: "call", id: string, name: string, arguments: any, result?: any, answered?: boolean}} CallPart
 * @typedef {{type: "result", id: string, result: any}} ResultPart
 * @typedef {{type: "other", value: any}} OtherPart
 * @typedef {TextPart|CallPart|ResultPart|OtherPart} Part
 * @typedef {{role: string, name: string, parts: Part[], finish: string}} Message
 */

/** @param {any} value */
export function isConversation(value) {
  return Array.isArray(value) && value.length > 0 && value.every((item) => item && typeof item === "object" && typeof item.role === "string");
}

/** @param {any[]} list @returns {Message[]} */
export function messages(list) {
  return list.map((item) => ({ role: item.role, name: item.name ?? "", parts: parts(item), finish: item.finish_reason ?? "" }));
}

/** @param {any} message @returns {Part[]} */
function parts(message) {
  const own = message.parts ?? message.content;
  const out = [];
  if (message.role === "tool" && message.parts === undefined) return [{ type: "result", id: message.tool_call_id ?? "", result: own }];
  if (typeof own === "string") out.push(/** @type {Part} */ ({ type: "text", text: own }));
  else if (Array.isArray(own)) for (const part of own) out.push(one(part));
  else if (own != null) out.push(/** @type {Part} */ ({ type: "other", value: own }));
  for (const call of message.parts === undefined ? (message.tool_calls ?? []) : []) {
    out.push({ type: /** @type {const} */ ("call"), id: call.id ?? "", name: call.function?.name ?? call.name ?? "", arguments: loose(call.function?.arguments ?? call.arguments) });
  }
  return out;
}

/** @param {any} part @returns {Part} */
function one(part) {
  if (typeof part === "string") return { type: "text", text: part };
  if (!part || typeof part !== "object") return { type: "other", value: part };
  switch (part.type) {
    case "text":
    case "input_text":
    case "output_text":
      return { type: "text", text: String(part.content ?? part.text ?? "") };
    case "reasoning":
    case "thinking":
      return { type: "reasoning", text: String(part.content ?? part.text ?? part.thinking ?? "") };
    case "tool_call":
    case "tool_use":
    case "function_call":
      return { type: "call", id: part.id ?? part.call_id ?? "", name: part.name ?? "", arguments: loose(part.arguments ?? part.input) };
    case "tool_call_response":
    case "tool_result":
    case "function_call_output":
      return { type: "result", id: part.id ?? part.tool_use_id ?? part.call_id ?? "", result: loose(part.response ?? part.result ?? part.content ?? part.output) };
    default:
      return { type: "other", value: part };
  }
}

/** Arguments often come as JSON text. @param {any} value */
export function loose(value) {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/**
 * Put each tool's result beside the call that asked for it; a message that held only such results disappears.
 * @param {Message[]} list @returns {Message[]}
 */
export function paired(list) {
  const calls = new Map();
  for (const message of list) for (const part of message.parts) if (part.type === "call" && part.id) calls.set(part.id, part);
  const out = [];
  for (const message of list) {
    const left = message.parts.filter((part) => {
      if (part.type !== "result" || !calls.has(part.id)) return true;
      const call = calls.get(part.id);
      if (call.answered) return true;
      call.result = part.result;
      call.answered = true;
      return false;
    });
    if (left.length || !message.parts.length) out.push({ ...message, parts: left });
  }
  return out;
}

/** Which messages are folded: the history between the first instructions and the last thing the user said. @param {Message[]} list @returns {{from: number, to: number}|null} */
export function foldedRange(list) {
  const from = list[0]?.role === "system" || list[0]?.role === "developer" ? 1 : 0;
  const asked = list.findLastIndex((message) => message.role === "user" && message.parts.some((part) => part.type !== "result"));
  const to = asked < 0 ? list.length - 4 : asked;
  return to - from >= 2 ? { from, to } : null;
}
