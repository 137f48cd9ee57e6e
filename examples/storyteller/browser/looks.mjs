// What can be measured of the looks: contrasts, motion, directions, and that a phone need not be scrolled sideways.
import { check, same } from './check.mjs'
import { Visitor, settled } from './visitor.mjs'

export async function looks(browser, app, model) {
  const moe = await Visitor.come(browser, app.url, 'M'.repeat(40))
  const page = moe.page
  await moe.hire('W'.repeat(60), { Model: 'm'.repeat(100) })
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
  await moe.context.close()
}
