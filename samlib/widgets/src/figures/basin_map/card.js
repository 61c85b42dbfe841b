// The graphics card: a map of starts as textures of single-precision numbers, some steps further with every pass.

import { constants } from "../../schema.js";
import { CELL } from "./ends.js";
import { lossOf } from "./losses.js";
import { VERTEX, endShader, runShader } from "./shader.js";

/** @typedef {import("./ends.js").Task} Task */
/** @typedef {{program: WebGLProgram, at: (name: string) => WebGLUniformLocation | null}} Program */

const { check, most } = constants.basin_map;

/** Pictures of what renders without a card. */
const SOFTWARE = /swiftshader|llvmpipe|software|basic render/i;

/**
 * A card, if the browser has WebGL 2 with textures of numbers.
 *
 * @returns {Card | null}
 */
export function createCard() {
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false, powerPreference: "high-performance" });
  if (!gl || !gl.getExtension("EXT_color_buffer_float")) return null;
  return new Card(canvas, gl);
}

export class Card {
  /** @param {HTMLCanvasElement} canvas @param {WebGL2RenderingContext} gl */
  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    /** Is it only made believe by the processor? */
    this.isSoftware = SOFTWARE.test(nameOf(gl));
    /** @type {Map<string, {run: Program, end: Program}>} */
    this.programs = new Map();
    /** @type {Map<number, ReturnType<typeof texturesOf>>} */
    this.textures = new Map();
  }

  /**
   * Begin a map. Its passes go one after the other, each when the one before is ready.
   *
   * @param {Task} task @param {number} size cells a side
   */
  begin(task, size) {
    const { gl } = this;
    const { run, end } = this.programsOf(task);
    const textures = this.texturesOf(size);
    let t = 0;
    let turn = 0;
    /** @type {WebGLSync | null} */
    let fence = null;
    /** @type {WebGLBuffer | null} */
    let buffer = null;
    /** Know when all so far is done. */
    const raise = () => {
      gl.deleteSync(fence);
      fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
      gl.flush();
    };
    const use = (/** @type {Program} */ { program, at }, /** @type {WebGLFramebuffer} */ target) => {
      gl.useProgram(program);
      gl.bindFramebuffer(gl.FRAMEBUFFER, target);
      gl.viewport(0, 0, size, size);
      textures.bind(turn);
      setUniforms(gl, at, task, size);
    };
    return {
      /** The step that all runs are at. */
      at: () => t,
      /** So many times CHECK steps of all runs. @param {number} blocks */
      advance(blocks) {
        use(run, textures.targets[1 - turn]);
        gl.uniform1i(run.at("first"), t);
        gl.uniform1i(run.at("blocks"), blocks);
        gl.drawArrays(gl.TRIANGLES, 0, 3);
        t = Math.min(t + blocks * check, task.steps);
        turn = 1 - turn;
        raise();
      },
      /** Has the card done what it was given last? */
      isReady: () => gl.getSyncParameter(/** @type {WebGLSync} */ (fence), gl.SYNC_STATUS) === gl.SIGNALED,
      /** Ask for the cells, as the runs are now. */
      conclude() {
        use(end, textures.result);
        gl.drawArrays(gl.TRIANGLES, 0, 3);
        buffer = bufferOf(gl, size);
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
        gl.readPixels(0, 0, size, size, gl.RGBA, gl.FLOAT, 0);
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
        raise();
      },
      /** The cells, once they are ready. @returns {Float32Array} */
      read() {
        const cells = new Float32Array(CELL * size * size);
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
        gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, cells);
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
        gl.deleteBuffer(buffer);
        return cells;
      },
    };
  }

  /** The shaders of a loss and a rule. @param {Task} task */
  programsOf(task) {
    const key = `${task.loss} ${task.method} ${task.loss === "formula" ? task.formula?.text : ""}`;
    const known = this.programs.get(key);
    if (known) return known;
    const loss = lossOf(task.loss, task.formula);
    const made = {
      run: programOf(this.gl, runShader(loss, task.method)),
      end: programOf(this.gl, endShader(loss, task.method)),
    };
    this.programs.set(key, made);
    return made;
  }

  /** @param {number} size */
  texturesOf(size) {
    const known = this.textures.get(size) ?? texturesOf(this.gl, size);
    this.textures.set(size, known);
    return known;
  }

  dispose() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** What renders. @param {WebGL2RenderingContext} gl @returns {string} */
function nameOf(gl) {
  const more = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

/** @param {WebGL2RenderingContext} gl @param {string} fragment @returns {Program} */
function programOf(gl, fragment) {
  const program = /** @type {WebGLProgram} */ (gl.createProgram());
  for (const [type, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(type));
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    const said = gl.getAttachedShaders(program)?.map((shader) => gl.getShaderInfoLog(shader));
    throw new Error(`the shader is refused: ${said?.join(" ")}`);
  }
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map();
  return {
    program,
    at(name) {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name) ?? null;
    },
  };
}

/** @param {WebGL2RenderingContext} gl @param {(name: string) => WebGLUniformLocation | null} at @param {Task} task @param {number} size */
function setUniforms(gl, at, task, size) {
  const { places } = lossOf(task.loss, task.formula);
  const padded = (/** @type {number[]} */ values, /** @type {number} */ length) =>
    Float32Array.from({ length }, (_, i) => values[i] ?? 0);
  gl.uniform1i(at("points"), 0);
  gl.uniform1i(at("marks"), 1);
  gl.uniform1f(at("rho"), task.rho);
  gl.uniform1f(at("lr"), task.lr);
  gl.uniform1i(at("steps"), task.steps);
  gl.uniform2f(at("center"), task.center[0], task.center[1]);
  gl.uniform1f(at("reach"), task.reach);
  gl.uniform2f(at("across"), task.across[0], task.across[1]);
  gl.uniform1f(at("size"), size);
  gl.uniform1f(at("one"), 1);
  gl.uniform1i(at("known"), places.length);
  gl.uniform2fv(at("places"), padded(places.flatMap(({ x }) => x), 2 * most));
  gl.uniform1fv(at("radii"), padded(places.map(({ radius }) => radius), most));
}

/** Two pairs of textures, read and written in turn, and one for the result. @param {WebGL2RenderingContext} gl @param {number} size */
function texturesOf(gl, size) {
  const pairs = [0, 1].map(() => [textureOf(gl, size), textureOf(gl, size)]);
  return {
    targets: pairs.map((pair) => targetOf(gl, pair)),
    result: targetOf(gl, [textureOf(gl, size)]),
    /** @param {number} turn */
    bind(turn) {
      pairs[turn].forEach((texture, unit) => {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, texture);
      });
    },
  };
}

/** Where the result is put to be fetched. @param {WebGL2RenderingContext} gl @param {number} size */
function bufferOf(gl, size) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
  gl.bufferData(gl.PIXEL_PACK_BUFFER, 4 * CELL * size * size, gl.STREAM_READ);
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
  return buffer;
}

/** @param {WebGL2RenderingContext} gl @param {number} size */
function textureOf(gl, size) {
  const texture = /** @type {WebGLTexture} */ (gl.createTexture());
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, size, size);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return texture;
}

/** @param {WebGL2RenderingContext} gl @param {WebGLTexture[]} textures */
function targetOf(gl, textures) {
  const target = /** @type {WebGLFramebuffer} */ (gl.createFramebuffer());
  gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  textures.forEach((texture, i) =>
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, texture, 0),
  );
  gl.drawBuffers(textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
  return target;
}
