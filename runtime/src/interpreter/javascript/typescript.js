// Takes the types out of a cell, with what the image has: Node itself from 22.13 on, else one of
// the usual packages.
'use strict';

const module_ = require('node:module');

function strip(code) {
  const { stripTypeScriptTypes } = module_;
  try {
    return stripTypeScriptTypes(code, { mode: 'strip' });
  } catch (error) {
    if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw error;
    // Enumerations and the like have to become code.
    return stripTypeScriptTypes(code, { mode: 'transform' });
  }
}

const PACKAGES = {
  esbuild: (esbuild, code) =>
    esbuild.transformSync(code, { loader: 'ts', tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } } }).code,
  sucrase: (sucrase, code) => sucrase.transform(code, { transforms: ['typescript'], keepUnusedImports: true }).code,
  typescript: (ts, code) =>
    ts.transpile(code, { target: 'esnext', module: 'esnext', verbatimModuleSyntax: true, isolatedModules: true }),
};

/** JavaScript in place of TypeScript. Throws a SyntaxError, or an Error when the image has no means. */
function stripTypes(code, require) {
  if (module_.stripTypeScriptTypes !== undefined) return strip(code);
  for (const [name, transform] of Object.entries(PACKAGES)) {
    let found;
    try {
      found = require(name);
    } catch {
      continue;
    }
    return transform(found, code);
  }
  throw new Error('TypeScript needs Node 22.13 or newer in this image, or the package esbuild, sucrase or typescript');
}

module.exports = { stripTypes };
