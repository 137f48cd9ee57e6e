// What can be measured of the looks: contrasts, motion, directions, and that a phone need not be scrolled sideways.
import { check, same } from './check.mjs'
import { Visitor, settled } from './visitor.mjs'

export async function looks(browser, app, model) {
  const moe = await Visitor.come(browser, app.url, 'M'.repeat(40))
  const page = moe.page
  await moe.hire('W'.repeat(60), { Model: 'm'.repeat(100), Description: 'd'.repeat(300) })
  const teller = page.url()
  const thread = await moe.startThread()
  model.replies.push('شتاء طويل')
  await moe.ask('قصة')
  await settled(page, 'done')

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    for (const url of [thread, `${teller}/edit`]) {
      await page.goto(url)
      const weak = await page.evaluate(() => {
        const parts = color => color.match(/[\d.]+/g).map(Number)
        const light = color => {
          const [r, g, b] = parts(color).slice(0, 3).map(part => part / 255).map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
          return 0.2126 * r + 0.7152 * g + 0.0722 * b
        }
        const behind = one => {
          for (let at = one.parentElement; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor
            if (parts(color)[3] !== 0) return color
          }
        }
        const controls = [...document.querySelectorAll('input:not([type=hidden], [type=file]), textarea, select, button, .button')]
        return controls.filter(one => one.checkVisibility() && parseFloat(getComputedStyle(one).borderTopWidth) > 0)
          .map(one => {
            const [low, high] = [light(getComputedStyle(one).borderTopColor), light(behind(one))].sort((a, b) => a - b)
            return [one.id || one.textContent, (high + 0.05) / (low + 0.05)]
          }).filter(([, contrast]) => contrast < 3)
      })
      same(`borders of controls can be seen (${colorScheme})`, '[]', JSON.stringify(weak))
    }
  }

  await page.goto(thread)
  const bidi = await page.evaluate(() => [...document.querySelectorAll('h1, .message .text p, #text')].map(one => getComputedStyle(one).unicodeBidi))
  check('each text has its own direction', bidi.length >= 4 && bidi.every(one => one === 'plaintext'), bidi.join())
  await page.emulateMedia({ reducedMotion: 'reduce' })
  const motion = await page.evaluate(() => {
    const text = document.querySelector('.message.assistant .text')
    text.parentElement.setAttribute('data-streaming', '')
    return getComputedStyle(text, '::after').animationName
  })
  same('nothing moves for those who want it so', 'none', motion)

  await page.setViewportSize({ width: 390, height: 844 })
  for (const url of [thread, teller, '/threads', '/chats', '/storytellers', '/account', '/nothing']) {
    await page.goto(url)
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth)
    check(`long names fit a phone: ${url.replace(app.url, '')}`, wide <= 0, `${wide} too wide`)
  }
  await small(moe, thread, model)
  await moe.context.close()
}

// A phone, a small one, and a window that shows all four times as large.
async function small({ page, ask }, thread, model) {
  const lines = selector => page.evaluate(selector => [...document.querySelectorAll(selector)].map(one => {
    const range = document.createRange()
    range.selectNodeContents(one)
    return new Set([...range.getClientRects()].map(rect => Math.round(rect.bottom))).size
  }).join(), selector)
  model.replies.push(`| Character | Occupation | Birthplace | Adventures | Conclusion |\n|---|---|---|---|---|\n| Scheherazade | storyteller | Samarkand | intelligent | married |\n\n${'A sentence of a long story. '.repeat(80)}`)
  await page.goto(thread)
  await ask.call({ page }, 'A table')
  await settled(page, 'done')
  same('a table on a phone keeps its words whole', '1,1,1,1,1', await lines('.text td'))

  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 568 })
    await page.goto('/storytellers')
    const cut = await page.evaluate(() => [...document.querySelectorAll('.top nav a')].filter(link => {
      const [one, nav] = [link, link.parentElement].map(element => element.getBoundingClientRect())
      return !link.matches('.me') && (one.right > nav.right + 1 || one.bottom > nav.bottom + 1)
    }).map(link => link.textContent).join())
    same(`every page can be seen in the navigation at ${width} pixels`, '', cut)
    same(`a heading is not broken within its word at ${width} pixels`, '1', await lines('h1'))
  }

  await page.setViewportSize({ width: 320, height: 256 })
  await page.goto(thread)
  const free = await page.evaluate(() => {
    const text = [...document.querySelectorAll('.message.assistant .text')].at(-1).getBoundingClientRect()
    scrollTo(0, scrollY + (text.top + text.bottom) / 2 - innerHeight / 2)
    const rows = Array.from({ length: innerHeight }, (_, y) => Boolean(document.elementFromPoint(innerWidth / 2, y)?.closest('.message')))
    return rows.filter(Boolean).length / innerHeight
  })
  check('shown four times as large, the window is there for the text', free > 0.95, `${Math.round(free * 100)} %`)
}
