# Serves https://appassets.androidplatform.net/ from assets/app; nothing else is ever answered.
.class public Lorg/dotori/phone/AppClient;
.super Landroid/webkit/WebViewClient;

.field private final activity:Landroid/app/Activity;

.method public constructor <init>(Landroid/app/Activity;)V
    .registers 2
    invoke-direct {p0}, Landroid/webkit/WebViewClient;-><init>()V
    iput-object p1, p0, Lorg/dotori/phone/AppClient;->activity:Landroid/app/Activity;
    return-void
.end method

.method private static isOurs(Landroid/net/Uri;)Z
    .registers 3
    const-string v0, "appassets.androidplatform.net"
    invoke-virtual {p0}, Landroid/net/Uri;->getHost()Ljava/lang/String;
    move-result-object v1
    invoke-virtual {v0, v1}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    if-eqz v0, :no
    const-string v0, "https"
    invoke-virtual {p0}, Landroid/net/Uri;->getScheme()Ljava/lang/String;
    move-result-object v1
    invoke-virtual {v0, v1}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    :no
    return v0
.end method

.method public shouldInterceptRequest(Landroid/webkit/WebView;Landroid/webkit/WebResourceRequest;)Landroid/webkit/WebResourceResponse;
    .registers 9
    invoke-interface {p2}, Landroid/webkit/WebResourceRequest;->getUrl()Landroid/net/Uri;
    move-result-object v0
    const-string v1, "data"
    invoke-virtual {v0}, Landroid/net/Uri;->getScheme()Ljava/lang/String;
    move-result-object v2
    invoke-virtual {v1, v2}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v1
    if-eqz v1, :not_data
    const/4 v0, 0x0
    return-object v0
    :not_data
    invoke-static {v0}, Lorg/dotori/phone/AppClient;->isOurs(Landroid/net/Uri;)Z
    move-result v1
    if-nez v1, :ours
    const/16 v1, 0x193
    const-string v2, "Forbidden"
    invoke-static {v1, v2}, Lorg/dotori/phone/AppClient;->refusal(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
    :ours
    invoke-virtual {v0}, Landroid/net/Uri;->getPath()Ljava/lang/String;
    move-result-object v0
    if-eqz v0, :first
    const-string v1, "/"
    invoke-virtual {v1, v0}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v1
    if-eqz v1, :open
    :first
    const-string v0, "/index.html"
    :open
    const-string v1, "app"
    invoke-virtual {v1, v0}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v1
    :try_start
    iget-object v2, p0, Lorg/dotori/phone/AppClient;->activity:Landroid/app/Activity;
    invoke-virtual {v2}, Landroid/app/Activity;->getAssets()Landroid/content/res/AssetManager;
    move-result-object v2
    # AssetManager.ACCESS_STREAMING
    const/4 v3, 0x2
    invoke-virtual {v2, v1, v3}, Landroid/content/res/AssetManager;->open(Ljava/lang/String;I)Ljava/io/InputStream;
    move-result-object v1
    :try_end
    .catch Ljava/io/IOException; {:try_start .. :try_end} :missing
    const/16 v2, 0xc8
    const-string v3, "OK"
    invoke-static {v0, v2, v3, v1}, Lorg/dotori/phone/AppClient;->answer(Ljava/lang/String;ILjava/lang/String;Ljava/io/InputStream;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
    :missing
    const/16 v1, 0x194
    const-string v2, "Not Found"
    invoke-static {v1, v2}, Lorg/dotori/phone/AppClient;->refusal(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
.end method

.method private static refusal(ILjava/lang/String;)Landroid/webkit/WebResourceResponse;
    .registers 5
    new-instance v0, Ljava/io/ByteArrayInputStream;
    const/4 v1, 0x0
    new-array v1, v1, [B
    invoke-direct {v0, v1}, Ljava/io/ByteArrayInputStream;-><init>([B)V
    const-string v1, ".txt"
    invoke-static {v1, p0, p1, v0}, Lorg/dotori/phone/AppClient;->answer(Ljava/lang/String;ILjava/lang/String;Ljava/io/InputStream;)Landroid/webkit/WebResourceResponse;
    move-result-object v0
    return-object v0
.end method

.method private static answer(Ljava/lang/String;ILjava/lang/String;Ljava/io/InputStream;)Landroid/webkit/WebResourceResponse;
    .registers 14
    new-instance v5, Ljava/util/HashMap;
    invoke-direct {v5}, Ljava/util/HashMap;-><init>()V
    const-string v0, "X-Content-Type-Options"
    const-string v1, "nosniff"
    invoke-virtual {v5, v0, v1}, Ljava/util/HashMap;->put(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;
    const-string v0, "Cache-Control"
    const-string v1, "no-store"
    invoke-virtual {v5, v0, v1}, Ljava/util/HashMap;->put(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;
    invoke-static {p0}, Lorg/dotori/phone/AppClient;->typeOf(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v1
    const/4 v2, 0x0
    const-string v0, "text/"
    invoke-virtual {v1, v0}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v0
    if-eqz v0, :binary
    const-string v2, "utf-8"
    :binary
    move v3, p1
    move-object v4, p2
    move-object v6, p3
    new-instance v0, Landroid/webkit/WebResourceResponse;
    invoke-direct/range {v0 .. v6}, Landroid/webkit/WebResourceResponse;-><init>(Ljava/lang/String;Ljava/lang/String;ILjava/lang/String;Ljava/util/Map;Ljava/io/InputStream;)V
    return-object v0
.end method

# A link that the user pressed opens in the browser; the page itself stays.
.method public shouldOverrideUrlLoading(Landroid/webkit/WebView;Landroid/webkit/WebResourceRequest;)Z
    .registers 8
    invoke-interface {p2}, Landroid/webkit/WebResourceRequest;->getUrl()Landroid/net/Uri;
    move-result-object v0
    invoke-static {v0}, Lorg/dotori/phone/AppClient;->isOurs(Landroid/net/Uri;)Z
    move-result v1
    if-eqz v1, :elsewhere
    const/4 v0, 0x0
    return v0
    :elsewhere
    const/4 v1, 0x1
    invoke-interface {p2}, Landroid/webkit/WebResourceRequest;->hasGesture()Z
    move-result v2
    if-eqz v2, :done
    const-string v2, "android.intent.action.VIEW"
    new-instance v3, Landroid/content/Intent;
    invoke-direct {v3, v2, v0}, Landroid/content/Intent;-><init>(Ljava/lang/String;Landroid/net/Uri;)V
    :try_start
    iget-object v2, p0, Lorg/dotori/phone/AppClient;->activity:Landroid/app/Activity;
    invoke-virtual {v2, v3}, Landroid/app/Activity;->startActivity(Landroid/content/Intent;)V
    :try_end
    .catch Landroid/content/ActivityNotFoundException; {:try_start .. :try_end} :done
    :done
    return v1
.end method

# The page's process died, most likely for memory: begin again instead of taking the app down.
.method public onRenderProcessGone(Landroid/webkit/WebView;Landroid/webkit/RenderProcessGoneDetail;)Z
    .registers 5
    iget-object v0, p0, Lorg/dotori/phone/AppClient;->activity:Landroid/app/Activity;
    invoke-virtual {v0}, Landroid/app/Activity;->recreate()V
    const/4 v1, 0x1
    return v1
.end method
