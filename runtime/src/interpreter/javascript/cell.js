// Turns a cell into a script: names declared at its top level outlive it and can be declared
// again, `import` and `await` work anywhere at the top level, and the last expression is the result.
'use strict';

/** The parser that Node carries for its own prompt; no package has to be installed. */
const acorn = require('internal/deps/acorn/acorn/dist/acorn');

/** Collects changes of a text by position and applies them at once. */
class Edits {
  #edits = [];

  replace(start, end, text) {
    this.#edits.push({ start, end, text, order: this.#edits.length });
  }

  insert(at, text) {
    this.replace(at, at, text);
  }

  apply(text) {
    const sorted = [...this.#edits].sort((a, b) => a.start - b.start || a.order - b.order);
    let result = '';
    let at = 0;
    for (const edit of sorted) {
      result += text.slice(at, edit.start) + edit.text;
      at = edit.end;
    }
    return result + text.slice(at);
  }
}

function parse(code) {
  const options = { ecmaVersion: 'latest', allowAwaitOutsideFunction: true, allowHashBang: true };
  try {
    return acorn.parse(code, { ...options, sourceType: 'module' });
  } catch (error) {
    try {
      // What strict mode forbids, such as `with`.
      return acorn.parse(code, { ...options, sourceType: 'script' });
    } catch {
      throw error;
    }
  }
}

/** Names that a pattern of a declaration binds. */
function* namesOf(pattern) {
  switch (pattern?.type) {
    case 'Identifier':
      yield pattern.name;
      break;
    case 'ObjectPattern':
      for (const property of pattern.properties) yield* namesOf(property.value ?? property.argument);
      break;
    case 'ArrayPattern':
      for (const element of pattern.elements) yield* namesOf(element);
      break;
    case 'AssignmentPattern':
      yield* namesOf(pattern.left);
      break;
    case 'RestElement':
      yield* namesOf(pattern.argument);
      break;
  }
}

class Cell {
  constructor(code) {
    this.code = code;
  }

  edits = new Edits();
  /** Names that become global variables. */
  names = new Set();
  /** Names of functions, which exist before the first statement runs. */
  functions = new Set();

  hoist(declaration) {
    for (const declarator of declaration.declarations) {
      for (const name of namesOf(declarator.id)) this.names.add(name);
    }
  }

  /** `const a = 1, {b} = c` becomes an assignment to global variables. */
  declare(declaration, before = 'void (', after = ')') {
    this.hoist(declaration);
    const { declarations } = declaration;
    this.edits.replace(declaration.start, declarations[0].start, before);
    for (const { init, id, end } of declarations) {
      if (init === null) this.edits.insert(end, declaration.kind === 'var' ? ` = ${id.name}` : ' = undefined');
    }
    this.edits.insert(declarations.at(-1).end, after);
  }

  load(node) {
    const parts = [];
    const named = [];
    for (const { type, local, imported } of node.specifiers) {
      this.names.add(local.name);
      if (type === 'ImportNamespaceSpecifier') parts.push(local.name);
      else if (type === 'ImportDefaultSpecifier') named.push(`default: ${local.name}`);
      else named.push(`${imported.raw ?? imported.name}: ${local.name}`);
    }
    if (named.length > 0) parts.push(`{${named.join(', ')}}`);
    const attributes = node.attributes?.map(({ key, value }) => `${key.raw ?? key.name}: ${value.raw}`) ?? [];
    const options = attributes.length > 0 ? `, {with: {${attributes.join(', ')}}}` : '';
    const load = `await import(${node.source.raw}${options})`;
    const text = parts.length === 0 ? load : parts.map((part) => `${part} = ${load}`).join(', ');
    this.edits.replace(node.start, node.end, `void (${text});`);
  }

  /** The last expression becomes the result; its parentheses, if any, belong to the statement. */
  give(statement) {
    const end = this.code[statement.end - 1] === ';' ? statement.end - 1 : statement.end;
    this.edits.insert(statement.start, 'return {value: await (');
    this.edits.insert(end, ')}');
  }

  /** Statements of the top level. */
  visit(node, isLast) {
    switch (node.type) {
      case 'ImportDeclaration':
        return this.load(node);
      case 'ExportNamedDeclaration':
        if (node.declaration === null) return this.edits.replace(node.start, node.end, ';');
        this.edits.replace(node.start, node.declaration.start, '');
        return this.visit(node.declaration, false);
      case 'ExportDefaultDeclaration':
        this.edits.replace(node.start, node.declaration.start, node.declaration.id ? '' : 'void ');
        if (node.declaration.id) this.visit(node.declaration, false);
        return undefined;
      case 'ExportAllDeclaration':
        return this.edits.replace(node.start, node.end, ';');
      case 'VariableDeclaration':
        return this.declare(node);
      case 'FunctionDeclaration':
        return void this.functions.add(node.id.name);
      case 'ClassDeclaration':
        this.names.add(node.id.name);
        this.edits.insert(node.start, `${node.id.name} = `);
        return this.edits.insert(node.end, ';');
      case 'ExpressionStatement':
        return isLast ? this.give(node) : undefined;
      default:
        return this.descend(node);
    }
  }

  /** `var` in nested statements is a variable of the whole cell, too. */
  descend(node) {
    for (const [key, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (typeof child?.type !== 'string' || /Function|Class/.test(child.type)) continue;
        if (child.type === 'VariableDeclaration' && child.kind === 'var') {
          if (key === 'left') this.loop(child);
          else if (key === 'init') this.declare(child, '', '');
          else this.declare(child);
        } else {
          this.descend(child);
        }
      }
    }
  }

  /** `for (var a of b)` */
  loop(declaration) {
    this.hoist(declaration);
    this.edits.replace(declaration.start, declaration.declarations[0].start, '');
  }
}

/**
 * The script of a cell, whose value is a promise of `{value}` or of nothing. Lines keep their
 * numbers; the first one is `offset` columns longer. Throws a SyntaxError.
 */
function transform(code) {
  const { body } = parse(code);
  const cell = new Cell(code);
  body.forEach((node, index) => cell.visit(node, index + 1 === body.length));
  const variables = cell.names.size > 0 ? `var ${[...cell.names].join(', ')}; ` : '';
  const functions = [...cell.functions].map((name) => `globalThis.${name} = ${name}; `).join('');
  const prefix = `${variables}(async () => { ${functions}`;
  // A hashbang is a comment only at the very start.
  const text = cell.edits.apply(code).replace(/^#!/, '//');
  return { source: `${prefix}${text}\n})()`, offset: prefix.length };
}

module.exports = { transform };
